"""Custom values of secrets in files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.provision.secrets.init import read_supplied, value_problem
from tidegate.provision.secrets.inventory import SECRETS, password

WRITER = next(secret for secret in SECRETS if secret.name == "writer")


def test_a_trailing_newline_is_not_part_of_the_value(tmp_path: Path) -> None:
    (tmp_path / "writer").write_text("correct-horse-battery\n")
    (tmp_path / "reader").write_text("correct-horse-stapled")
    (tmp_path / ".gitignore").write_text("*\n")
    assert read_supplied(tmp_path, SECRETS) == (
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
        (b"correct-horse-$HOME", "must not contain `$`"),
        (b"elevenchars", "is too short: 11 characters, the minimum is 12"),
        (b"x" * 73, "is too long: the maximum is 72 characters"),
        (b"x" * 100_000, "is too long: the maximum is 72 characters"),
    ],
)
def test_an_invalid_file_is_named_without_its_value(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    (tmp_path / "writer").write_bytes(content)
    values, problems = read_supplied(tmp_path, SECRETS)
    assert values == {}
    (sentence,) = problems
    assert sentence.startswith(f"{tmp_path / 'writer'}: ")
    assert problem in sentence
    assert "correct" not in sentence


@pytest.mark.parametrize("length", [12, 72])
def test_values_of_the_minimum_and_the_maximum_length_are_valid(length: int) -> None:
    assert value_problem("x" * length, WRITER) == ""


def test_an_unknown_name_and_a_folder_are_problems(tmp_path: Path) -> None:
    (tmp_path / "writter").write_text(password())
    (tmp_path / "elastic").mkdir()
    _, problems = read_supplied(tmp_path, SECRETS)
    assert problems[0] == f"{tmp_path / 'elastic'} cannot be read: Is a directory"
    assert problems[1].startswith(f"{tmp_path / 'writter'}: unknown secret; expected one of ")
    assert len(problems) == 2


def test_a_missing_folder_supplies_nothing_and_a_file_in_its_place_is_a_problem(
    tmp_path: Path,
) -> None:
    assert read_supplied(tmp_path / "nowhere", SECRETS) == ({}, [])
    file = tmp_path / "supplied"
    file.write_text("")
    assert read_supplied(file, SECRETS) == ({}, [f"{file} cannot be read: Not a directory"])
