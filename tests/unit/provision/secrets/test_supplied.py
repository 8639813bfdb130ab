"""Values that a person gives by files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.provision.secrets.inventory import SECRETS, password
from tidegate.provision.secrets.supplied import read_given, value_problem

WRITER = next(secret for secret in SECRETS if secret.name == "writer")


def test_without_a_folder_nothing_is_given(tmp_path: Path) -> None:
    assert read_given(tmp_path / "nowhere", SECRETS) == ({}, [])


def test_one_newline_at_the_end_is_not_part_of_the_value(tmp_path: Path) -> None:
    (tmp_path / "writer").write_text("correct-horse-battery\n")
    (tmp_path / "reader").write_text("correct-horse-stapled")
    (tmp_path / ".gitignore").write_text("*\n")
    assert read_given(tmp_path, SECRETS) == (
        {"writer": "correct-horse-battery", "reader": "correct-horse-stapled"},
        [],
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"correct-horse-battery\n\n", "one line of printable ASCII"),
        (b"correct-horse-battery\r\n", "one line of printable ASCII"),
        (b"correct horse battery", "one line of printable ASCII"),
        (b"correct-horse-b\x00ttery", "one line of printable ASCII"),
        ("korrektes-Pferd-fünf".encode(), "one line of printable ASCII"),
        (b"\xff\xfe-correct-horse", "one line of printable ASCII"),
        (b"correct-horse-$HOME", "may not hold a `$`"),
        (b"elevenchars", "is too short: 11 characters, 12 are needed"),
        (b"x" * 73, "is too long: 72 characters are the most"),
        (b"x" * 100_000, "is too long: 72 characters are the most"),
    ],
)
def test_a_file_that_cannot_be_taken_is_named_and_its_value_never_said(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    (tmp_path / "writer").write_bytes(content)
    values, problems = read_given(tmp_path, SECRETS)
    assert values == {}
    (sentence,) = problems
    assert sentence.startswith(f"{tmp_path / 'writer'}: ")
    assert problem in sentence
    assert "correct" not in sentence


@pytest.mark.parametrize("length", [12, 72])
def test_the_shortest_and_the_longest_value_are_taken(length: int) -> None:
    assert value_problem("x" * length, WRITER) == ""


def test_an_unknown_name_and_a_folder_are_refused_each_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "writter").write_text(password())
    (tmp_path / "elastic").mkdir()
    _, problems = read_given(tmp_path, SECRETS)
    assert problems[0] == f"{tmp_path / 'elastic'} cannot be read: Is a directory"
    assert problems[1].startswith(f"{tmp_path / 'writter'}: there is no secret of this name; there")
    assert len(problems) == 2


def test_a_file_where_the_folder_belongs_is_a_problem(tmp_path: Path) -> None:
    file = tmp_path / "given"
    file.write_text("")
    assert read_given(file, SECRETS) == ({}, [f"{file} cannot be read: Not a directory"])
