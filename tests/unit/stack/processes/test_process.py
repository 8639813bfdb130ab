"""One child process: its output, its stop, and that it does not outlive its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.doubles.small_disk import fill
from support.eventually import eventually_async
from tidegate.stack.processes.process import Child, Command, describe_exit, tail, truncate_output

Python = Callable[..., Command]


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


async def test_a_reader_gets_the_whole_standard_output(tmp_path: Path, python: Python) -> None:
    code = "import sys; sys.stdout.write('a' * 3_000_000 + 'end'); print('x', file=sys.stderr)"
    reader = python("import sys; open('read', 'w').write(sys.stdin.read())")
    child = Child.start(python(code), tmp_path / "out.log", reader)
    assert await child.wait() == 0
    assert (reader.cwd / "read").read_text() == "a" * 3_000_000 + "end"
    assert (tmp_path / "out.log").read_text() == "x\n"


async def test_a_reader_that_fails_is_started_again_and_gets_what_was_written_meanwhile(
    tmp_path: Path, python: Python
) -> None:
    read = tmp_path / "read"
    code = (
        "import os, signal, sys\n"
        f"line = sys.stdin.buffer.raw.read(2); open({str(read)!r}, 'ab').write(line)\n"
        "os.kill(os.getpid(), signal.SIGKILL) if line else None\n"
    )
    lines = (
        "import pathlib, time\n"
        "print('1\\n2\\n3', flush=True)\n"
        f"path = pathlib.Path({str(read)!r})\n"
        "while not path.exists() or path.stat().st_size < 4: time.sleep(0.01)\n"
    )
    child = Child.start(python(lines), tmp_path / "out.log", python(code))
    assert await child.wait() == 0
    assert read.read_text() == "1\n2\n3\n"


async def test_a_reader_that_cannot_run_is_reported_and_does_not_delay_the_end(
    tmp_path: Path, python: Python, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.stack.processes.process.READER_END_SECONDS", None)
    reader = Command(("/no/such/program",), {}, tmp_path)
    child = Child.start(python("print('x')"), tmp_path / "out.log", reader)
    async with asyncio.timeout(60):
        assert await child.wait() == 0
    assert "/no/such/program cannot be started" in tail(tmp_path / "out.log")


def test_output_is_read_while_the_parent_is_stopped(tmp_path: Path) -> None:
    parent = """
import asyncio, os, sys
from pathlib import Path
from tidegate.stack.processes.process import Child, Command
def python(code):
    return Command((sys.executable, "-c", code), os.environ, Path.cwd())
async def main():
    # More than a pipe holds, when this process is stopped.
    write = "import sys, time; open('go', 'rb').read(); sys.stdout.write('x' * 5_000_000)"
    read = "import sys; print('reads', file=open('reads', 'w')); open('read', 'w').write(sys.stdin.read())"
    Child.start(python(write), Path("out.log"), python(read))
    await asyncio.sleep(600)
asyncio.run(main())
"""
    os.mkfifo(tmp_path / "go")
    process = subprocess.Popen([sys.executable, "-c", parent], cwd=tmp_path)
    try:
        asyncio.run(eventually_async((tmp_path / "reads").exists))
        process.send_signal(signal.SIGSTOP)
        (tmp_path / "go").write_bytes(b"")
        read = tmp_path / "read"
        asyncio.run(eventually_async(lambda: read.exists() and read.stat().st_size == 5_000_000))
    finally:
        process.kill()
        process.wait()


async def test_a_stop_signal_ends_the_child_which_leads_its_own_session(
    tmp_path: Path, python: Python
) -> None:
    child = Child.start(python("import time; time.sleep(60)"), tmp_path / "out.log")
    assert os.getsid(child.pid) == child.pid != os.getsid(0)
    assert await child.stop(signal.SIGTERM, 20)
    assert await child.wait() == -signal.SIGTERM
    child.kill()  # after the exit nothing happens


async def test_a_child_that_does_not_stop_in_time_is_killed(tmp_path: Path, python: Python) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    child = Child.start(python(code), tmp_path / "out.log")
    await eventually_async(lambda: tail(tmp_path / "out.log") == "deaf")
    assert not await child.stop(signal.SIGTERM, 0.05)
    assert await child.wait() == -signal.SIGKILL


async def test_the_children_of_a_child_are_killed_with_it(
    tmp_path: Path, python: Python, alive: Callable[[int], bool]
) -> None:
    code = (
        "import subprocess; print(subprocess.Popen(['sleep', '60']).pid, flush=True);"
        "import os; os._exit(1)"
    )
    child = Child.start(python(code), tmp_path / "out.log")
    assert await child.wait() == 1
    await eventually_async(lambda: not alive(int(tail(tmp_path / "out.log"))))


def test_children_die_with_a_killed_parent(tmp_path: Path, alive: Callable[[int], bool]) -> None:
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
    asyncio.run(eventually_async(lambda: not alive(child)))


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


async def test_the_time_that_a_child_waits_for_a_cpu_is_known(
    tmp_path: Path, python: Python
) -> None:
    one_cpu = f"import os; os.sched_setaffinity(0, {{{min(os.sched_getaffinity(0))}}})\n"
    children = [
        Child.start(python(f"{one_cpu}while True: pass"), tmp_path / "out.log") for _ in range(2)
    ]
    try:
        await eventually_async(lambda: min(one.cpu_wait_seconds() for one in children) > 0.1)
    finally:
        for child in children:
            child.kill()
            await child.wait()
    assert children[0].cpu_wait_seconds() == 0
