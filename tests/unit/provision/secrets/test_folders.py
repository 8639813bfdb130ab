"""Folders that `tidegate secrets init` creates for their owners."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.doubles.raising import raising
from tidegate.provision.errors import ProvisionError
from tidegate.provision.secrets.init import OwnedFolder, parse_owned_folder


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("/events", OwnedFolder(Path("/events"), 10001, 10001)),
        ("/data=1000:0", OwnedFolder(Path("/data"), 1000, 0)),
        ("/odd=name", OwnedFolder(Path("/odd=name"), 10001, 10001)),
    ],
)
def test_the_option_names_the_folder_and_its_owner(text: str, meaning: OwnedFolder) -> None:
    assert parse_owned_folder(text) == meaning


@pytest.mark.parametrize("text", ["", "events", "events=1000:0"])
def test_a_path_that_is_not_absolute_is_refused(text: str) -> None:
    with pytest.raises(ProvisionError, match=f"--own {text}: must be an absolute PATH"):
        parse_owned_folder(text)


def test_a_folder_is_created_once(tmp_path: Path) -> None:
    mine = OwnedFolder(tmp_path / "events", os.getuid(), os.getgid())
    assert [mine.create(), mine.create()] == ["created", "unchanged"]
    assert mine.path.is_dir()


def test_the_owner_of_another_folder_is_set_and_an_error_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = OwnedFolder(tmp_path / "events", os.getuid() + 1, os.getgid())
    calls: list[tuple[Path, int, int]] = []
    monkeypatch.setattr(os, "chown", lambda *arguments: calls.append(arguments))
    assert other.create() == f"owner set to {other.uid}:{other.gid}"
    assert calls == [(other.path, other.uid, other.gid)]
    monkeypatch.setattr(os, "chown", raising(PermissionError(1, "Operation not permitted")))
    message = f"cannot be created with owner {other.uid}:{other.gid}"
    with pytest.raises(ProvisionError, match=message):
        other.create()
