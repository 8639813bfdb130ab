"""The replay empties a folder of its own, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.demos.flights_year.data_folder import MARKER, command_prefix, in_own_folder, prepare
from tidegate.demos.flights_year.replay import ReplayError
from tidegate.settings import Settings
from tidegate.stack.data_folder import Layout


def settings(folder: Path) -> Settings:
    return in_own_folder(Settings(stack={"data_dir": folder}))


def test_only_what_the_replay_made_is_emptied(tmp_path: Path) -> None:
    own = settings(tmp_path)
    prepare(own)
    folder = own.stack.data_dir
    assert [entry.name for entry in folder.iterdir()] == [MARKER]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    (folder / "store").mkdir()
    (folder / "store" / "old").touch()
    (folder / "link").symlink_to(elsewhere)
    prepare(own)
    assert [entry.name for entry in folder.iterdir()] == [MARKER]
    assert (elsewhere / "kept").exists()


@pytest.mark.parametrize("kind", ["a folder of somebody's", "a link to a folder of the replay's"])
def test_a_folder_of_somebody_else_is_left_as_it_is(tmp_path: Path, kind: str) -> None:
    own = settings(tmp_path)
    folder = own.stack.data_dir
    if kind.startswith("a link"):
        (tmp_path / "target").mkdir()
        (tmp_path / "target" / MARKER).touch()
        folder.symlink_to(tmp_path / "target")
    else:
        folder.mkdir()
    (folder / "theirs").touch()
    with pytest.raises(
        ReplayError, match=r"was not created by `tidegate demo-drift`.*move it away"
    ):
        prepare(own)
    assert (folder / "theirs").exists()


def test_a_place_that_cannot_be_emptied_is_named(tmp_path: Path) -> None:
    own = settings(tmp_path)
    own.stack.data_dir.touch()
    with pytest.raises(ReplayError, match="demo-drift cannot be emptied: "):
        prepare(own)


def test_a_stack_that_still_runs_in_it_keeps_its_data(tmp_path: Path) -> None:
    own = settings(tmp_path)
    prepare(own)
    layout = Layout(own.stack.data_dir)
    layout.make()
    stop = f"stop it with `TIDEGATE_STACK__DATA_DIR={layout.data} tidegate down`"
    with layout.locked(), pytest.raises(ReplayError, match=f"still running in .* {stop}"):
        prepare(own)
    assert layout.logs.exists()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("embedded", "TIDEGATE_STACK__DATA_DIR='my data/demo-drift' "),
        (
            "elasticsearch",
            "TIDEGATE_STACK__DATA_DIR='my data/demo-drift' TIDEGATE_STORE__KIND=embedded ",
        ),
    ],
)
def test_a_command_is_told_where_the_replay_s_events_are(kind: str, words: str) -> None:
    usual = Settings(stack={"data_dir": Path("my data")}, store={"kind": kind})
    assert command_prefix(in_own_folder(usual), usual) == words
