"""The replay empties its own folder, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.demos.flights_year.data_folder import MARKER, command_prefix, in_own_folder, prepare
from tidegate.demos.flights_year.replay import ReplayError
from tidegate.settings import Settings
from tidegate.stack.data_folder import Layout


def settings(folder: Path) -> Settings:
    return in_own_folder(Settings(stack={"data_dir": folder}))


def test_only_the_replays_folder_is_emptied(tmp_path: Path) -> None:
    own = settings(tmp_path)
    prepare(own)
    folder = own.stack.data_dir
    assert [entry.name for entry in folder.iterdir()] == [MARKER]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").touch()
    (folder / "store").mkdir()
    (folder / "store" / "old").touch()
    (folder / "link").symlink_to(elsewhere)
    prepare(own)
    assert [entry.name for entry in folder.iterdir()] == [MARKER]
    assert (elsewhere / "file").exists()


@pytest.mark.parametrize("kind", ["another folder", "a link to a folder of the replay"])
def test_a_folder_that_the_replay_did_not_create_is_not_emptied(tmp_path: Path, kind: str) -> None:
    own = settings(tmp_path)
    folder = own.stack.data_dir
    if kind.startswith("a link"):
        (tmp_path / "target").mkdir()
        (tmp_path / "target" / MARKER).touch()
        folder.symlink_to(tmp_path / "target")
    else:
        folder.mkdir()
    (folder / "file").touch()
    with pytest.raises(
        ReplayError, match=r"was not created by `tidegate demo-drift`.*move it away"
    ):
        prepare(own)
    assert (folder / "file").exists()


def test_the_error_names_a_folder_that_cannot_be_emptied(tmp_path: Path) -> None:
    own = settings(tmp_path)
    own.stack.data_dir.touch()
    with pytest.raises(ReplayError, match="demo-drift cannot be emptied: "):
        prepare(own)


def test_the_folder_of_a_running_stack_is_not_emptied(tmp_path: Path) -> None:
    own = settings(tmp_path)
    prepare(own)
    layout = Layout(own.stack.data_dir)
    layout.make()
    stop = f"stop it with `TIDEGATE_STACK__DATA_DIR={layout.data} tidegate down`"
    with layout.locked(), pytest.raises(ReplayError, match=f"still running in .* {stop}"):
        prepare(own)
    assert layout.logs.exists()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("embedded", "TIDEGATE_STACK__DATA_DIR='my data/demo-drift' "),
        (
            "elasticsearch",
            "TIDEGATE_STACK__DATA_DIR='my data/demo-drift' TIDEGATE_STORE__KIND=embedded ",
        ),
    ],
)
def test_the_command_prefix_sets_the_variables_that_differ(kind: str, expected: str) -> None:
    defaults = Settings(stack={"data_dir": Path("my data")}, store={"kind": kind})
    assert command_prefix(in_own_folder(defaults), defaults) == expected
