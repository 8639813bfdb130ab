"""Folders that a one-shot makes and gives away."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tidegate.provision.problems import ProvisionError
from tidegate.provision.secrets.folders import Owned, owned


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("/events", Owned(Path("/events"), 10001, 10001)),
        ("/data=1000:0", Owned(Path("/data"), 1000, 0)),
        ("/odd=name", Owned(Path("/odd=name"), 10001, 10001)),
    ],
)
def test_an_option_says_which_folder_and_whose(text: str, meaning: Owned) -> None:
    assert owned(text) == meaning


@pytest.mark.parametrize("text", ["", "events", "events=1000:0"])
def test_a_path_that_is_not_absolute_is_refused(text: str) -> None:
    with pytest.raises(ProvisionError, match=f"--own {text}: must be an absolute PATH"):
        owned(text)


def test_a_folder_is_made_once(tmp_path: Path) -> None:
    mine = Owned(tmp_path / "events", os.getuid(), os.getgid())
    assert [mine.make(), mine.make()] == ["made", "as it was"]
    assert mine.path.is_dir()


def test_a_folder_of_someone_else_is_given_away_and_a_refusal_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Owned(tmp_path / "events", os.getuid() + 1, os.getgid())
    given: list[tuple[Path, int, int]] = []
    monkeypatch.setattr(os, "chown", lambda *what: given.append(what))
    assert other.make() == f"given to {other.uid}:{other.gid}"
    assert given == [(other.path, other.uid, other.gid)]

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    with pytest.raises(ProvisionError, match=f"cannot be made a folder of {other.uid}:{other.gid}"):
        other.make()
