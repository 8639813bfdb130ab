"""Links and pipes in the folder of event files are not followed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tidegate.collector import writer_lock
from tidegate.collector.tail import Batch

from .test_tail import drain, line, name, put, tail_of, texts

# Bytes that are delivered: all that a file of these tests has.
ALL = 10**9


def test_a_symbolic_link_is_not_followed_and_is_reported_once(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "logs", tmp_path / "secret"
    folder.mkdir()
    elsewhere.write_text(line("secret"))
    put(folder, name(0), line("a"))
    (folder / name(1)).symlink_to(elsewhere)
    (folder / name(2)).symlink_to(name(2))
    (folder / name(3)).symlink_to("nowhere")
    os.mkfifo(folder / name(4))
    tail = tail_of(folder)
    assert texts(drain(tail)) == ["a"]
    assert sorted(tail.notices()) == [
        f"{name(number)} is a symbolic link and is not read" for number in (1, 2, 3)
    ]
    assert drain(tail) == []
    assert tail.notices() == []
    (folder / name(1)).unlink()
    tail.scan()
    (folder / name(1)).symlink_to(elsewhere)
    tail.scan()
    assert len(tail.notices()) == 1


def test_a_hard_link_of_an_event_file_is_not_read_and_is_reported_once(tmp_path: Path) -> None:
    first = put(tmp_path, name(1), '{"without": "an id"}\n')
    tail = tail_of(tmp_path)
    assert len(drain(tail)) == 1
    (tmp_path / name(0)).hardlink_to(first)  # it sorts before the file
    assert drain(tail) == []
    assert tail.notices() == [f"{name(0)} is a link of {name(1)} and is not read"]
    restarted = tail_of(tmp_path, progress=tail.progress_with(Batch()))
    for one in (restarted, tail):
        assert drain(one) == []
    first.unlink()
    restarted = tail_of(tmp_path, progress=tail.progress_with(Batch()))
    for one in (restarted, tail):
        assert drain(one) == []
        assert one.losses() == []
    put(tmp_path, name(0), '{"another": 1}\n')
    assert len(drain(restarted)) == 1


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_file_replaced_by_a_link_or_a_pipe_after_the_scan_is_not_followed(
    tmp_path: Path, kind: str
) -> None:
    folder, elsewhere = tmp_path / "logs", tmp_path / "secret"
    folder.mkdir()
    elsewhere.write_text(line("secret"))
    path = put(folder, name(0), line("a"), age=999)
    tail = tail_of(folder)
    tail.scan()
    path.unlink()
    if kind == "link":
        path.symlink_to(elsewhere)
    else:
        os.mkfifo(path)
    assert texts([tail.batch()]) == []
    (notice,) = tail.notices()
    assert notice.startswith(f"{name(0)} cannot be read: ")
    with pytest.raises(OSError, match=r"symbolic links|not a regular file"):
        writer_lock.delete(path, ALL)
    assert elsewhere.read_text() == line("secret")


def test_a_folder_that_cannot_be_listed_is_reported_and_its_offsets_are_kept(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    put(folder, name(0), line("a"))
    tail = tail_of(folder)
    assert texts(drain(tail)) == ["a"]
    folder.rename(tmp_path / "moved")
    folder.symlink_to(folder)
    assert drain(tail) == drain(tail) == []
    assert tail.notices() == [f"{folder} cannot be listed: Too many levels of symbolic links"]
    folder.unlink()
    (tmp_path / "moved").rename(folder)
    put(folder, name(0), line("b"))
    assert texts(drain(tail)) == ["b"]
