"""One child process: its output, its stop, and that it does not outlive its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from support.doubles.small_disk import fill
from tidegate.stack.processes.process import Child, Command, describe_exit, tail, truncate_output

Python = Callable[..., Command]
Eventually = Callable[..., Coroutine[None, None, None]]


async def test_the_output_goes_to_a_file_and_the_exit_code_is_returned(
    tmp_path: Path, python: Python
) -> None:
    output = tmp_path / "out.log"
    output.write_text("before\n")
    child = Child.start(
        python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"), output
    )
    assert await child.wait() == 3
    assert sorted(output.read_text().split()) == ["before", "err", "out"]


async def test_files_of_the_child_are_private_to_its_user(tmp_path: Path, python: Python) -> None:
    made = tmp_path / "made"
    child = Child.start(python(f"open({str(made)!r}, 'w')"), tmp_path / "out.log")
    assert await child.wait() == 0
    assert made.stat().st_mode & 0o777 == 0o600


async def test_output_lines_are_received_whole_including_the_last(
    tmp_path: Path, python: Python
) -> None:
    lines: list[bytes] = []
    code = "import sys; sys.stdout.write('a\\n\\nb' + 'c' * 200_000 + '\\nend'); print('x', file=sys.stderr)"
    child = Child.start(python(code), tmp_path / "out.log", lines.append)
    assert await child.wait() == 0
    assert lines == [b"a", b"b" + b"c" * 200_000, b"end"]
    assert (tmp_path / "out.log").read_text() == "x\n"


async def test_a_line_without_end_is_split(tmp_path: Path, python: Python) -> None:
    lines: list[bytes] = []
    child = Child.start(
        python("print('x' * 5_000_000, end='')"), tmp_path / "out.log", lines.append
    )
    await child.wait()
    assert len(lines) > 1
    assert max(map(len, lines)) <= 3 * 2**20
    assert b"".join(lines) == b"x" * 5_000_000


async def test_the_child_leads_its_own_session(tmp_path: Path, python: Python) -> None:
    child = Child.start(python("import time; time.sleep(60)"), tmp_path / "out.log")
    assert os.getsid(child.pid) == child.pid != os.getsid(0)
    child.kill()
    assert await child.wait() == -signal.SIGKILL


async def test_a_stop_signal_ends_the_child(tmp_path: Path, python: Python) -> None:
    child = Child.start(python("import time; time.sleep(60)"), tmp_path / "out.log")
    assert await child.stop(signal.SIGTERM, 20)
    assert await child.wait() == -signal.SIGTERM
    child.send(signal.SIGTERM)  # after the exit nothing happens
    child.kill()


async def test_a_child_that_does_not_stop_in_time_is_killed(
    tmp_path: Path, python: Python, eventually: Eventually
) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    child = Child.start(python(code), tmp_path / "out.log")
    await eventually(lambda: tail(tmp_path / "out.log") == "deaf")
    assert not await child.stop(signal.SIGTERM, 0.05)
    assert await child.wait() == -signal.SIGKILL


async def test_the_children_of_a_child_are_killed_with_it(
    tmp_path: Path, python: Python, alive: Callable[[int], bool], eventually: Eventually
) -> None:
    code = (
        "import subprocess; print(subprocess.Popen(['sleep', '60']).pid, flush=True);"
        "import os; os._exit(1)"
    )
    lines: list[bytes] = []
    child = Child.start(python(code), tmp_path / "out.log", lines.append)
    # The grandchild keeps the pipe open: if it were not killed, this would wait for a minute.
    assert await asyncio.wait_for(child.wait(), 20) == 1
    await eventually(lambda: not alive(int(lines[0])))


def test_children_die_with_a_killed_parent(
    tmp_path: Path, eventually: Eventually, alive: Callable[[int], bool]
) -> None:
    parent = """
import asyncio, os, sys
from pathlib import Path
from tidegate.stack.processes.process import Child, Command
async def main():
    argv = (sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)")
    print(Child.start(Command(argv, os.environ, Path.cwd()), Path("out.log")).pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    process = subprocess.Popen(
        [sys.executable, "-c", parent], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        child = int(process.stdout.readline())
    assert alive(child)
    process.kill()
    process.wait()
    asyncio.run(eventually(lambda: not alive(child)))


async def test_a_missing_program_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Child.start(Command(("/no/such/program",), {}, tmp_path), tmp_path / "out.log")


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0, "ended with exit code 0"),
        (2, "ended with exit code 2"),
        (-9, "was killed by SIGKILL"),
        (-50, "was killed by signal 50"),
    ],
)
def test_an_exit_code_is_described_in_words(code: int, text: str) -> None:
    assert describe_exit(code) == text


def test_output_above_the_limit_is_moved_while_the_program_runs(tmp_path: Path) -> None:
    path = tmp_path / "out.log"
    with path.open("ab", buffering=0) as file:
        file.write(b"x" * 101)
        truncate_output(path, 100)
        file.write(b"after")
    assert path.read_bytes() == b"after"
    assert (tmp_path / "out.log.1").read_bytes() == b"x" * 101
    truncate_output(path, 100)
    assert path.read_bytes() == b"after"
    truncate_output(tmp_path / "none.log", 100)


def test_output_above_the_limit_is_truncated_even_on_a_full_disk(small_disk: Path) -> None:
    path = small_disk / "out.log"
    path.write_bytes(b"x" * 101)
    fill(small_disk)
    truncate_output(path, 100)
    assert path.read_bytes() == b""


def test_the_tail_is_the_last_lines_of_output(tmp_path: Path) -> None:
    path = tmp_path / "out.log"
    assert tail(path) == ""
    path.write_bytes(b"".join(b"%d \xff\n" % number for number in range(10_000)))
    assert tail(path, 2) == "9998 \ufffd\n9999 \ufffd"
