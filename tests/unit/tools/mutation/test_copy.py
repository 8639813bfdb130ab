"""A copy of the checkout, in which tests run with a mutant."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psutil
import pytest

from support.checkout import ROOT
from tools.mutation.__main__ import Copy
from tools.mutation.mutants import Mutant

TEST = """
import subprocess, sys
from room import answer

def test_it():
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    child = subprocess.Popen(sleeper, start_new_session=True)
    open("pid", "w").write(str(child.pid))
    assert answer == 1
"""


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copy:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "room.py").write_text("answer = 1\n")
    (checkout / "test_room.py").write_text(TEST)
    (checkout / ".venv").symlink_to(ROOT / ".venv")
    (checkout / ".gitignore").write_text(".venv\n__pycache__/\n")
    subprocess.run(["git", "init", "-q"], cwd=checkout, check=True)
    monkeypatch.setattr("tools.mutation.__main__.ROOT", checkout)
    (tmp_path / "copies").mkdir()
    return Copy(tmp_path / "copies")


@pytest.mark.parametrize(
    ("answer", "seconds", "survives"), [(1, 120, True), (2, 120, False), (1, 0.1, False)]
)
def test_a_mutant_survives_if_the_tests_pass_in_time_and_leaves_nothing_behind(
    copy: Copy,
    monkeypatch: pytest.MonkeyPatch,
    answer: int,
    seconds: float,
    *,
    survives: bool,
) -> None:
    pids: list[int] = []
    end_processes = copy._end_processes

    def note_and_end() -> None:
        pids.extend(int(file.read_text()) for file in copy.root.glob("pid"))
        end_processes()

    monkeypatch.setattr(copy, "_end_processes", note_and_end)
    mutant = Mutant("room.py", f"answer = {answer}\n", 1, "answer = 1\n", f"answer = {answer}\n")
    assert copy.survives(mutant, ["test_room.py"], seconds) is survives
    left = {path.name for path in copy.root.iterdir()}
    assert left - {"__pycache__"} == {".git", ".gitignore", ".venv", "room.py", "test_room.py"}
    assert (copy.root / "room.py").read_text() == "answer = 1\n"
    assert len(pids) == (seconds > 1)
    for pid in pids:
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
