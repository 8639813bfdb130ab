"""The process of a predictor ends with the replica, and its end is seen, whatever it does."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from support.eventually import eventually
from tidegate.service.model.python_runtime.worker import Worker, WorkerEndedError
from tidegate.service.model.signature import Signature

CODE = '''
import ctypes
import multiprocessing
import time
from pathlib import Path

HERE = Path(__file__).parent


class Stuck:
    """Waits in C code with the GIL; a process of its own waits beside it."""

    def load(self):
        self.own = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
        self.own.start()
        (HERE / "own").write_text(str(self.own.pid))

    def predict(self, rows):
        (HERE / "begun").touch()
        ctypes.PyDLL(None).pause()
'''
REPLICA = """
import sys
from pathlib import Path
from tidegate.service.model.python_runtime.worker import Worker
from tidegate.service.model.signature import Signature

if __name__ == "__main__":
    worker = Worker(Signature.model_validate_json(sys.argv[1]), Path(sys.argv[2]))
    worker.wait_loaded()
    print(worker.pid, flush=True)
    worker.predict([{}])
"""

AS_PROCESS_1 = """
import ctypes
import os
import signal
import sys
from pathlib import Path
from tidegate.service.model.python_runtime.worker import Worker
from tidegate.service.model.signature import Signature

if __name__ == "__main__":
    PR_SET_CHILD_SUBREAPER = 36
    assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    worker = Worker(Signature.model_validate_json(sys.argv[1]), Path(sys.argv[2]))
    worker.wait_loaded()
    os.kill(worker.pid, signal.SIGKILL)
    print(worker.ending(), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "stuck.py").write_text(CODE)
    return tmp_path


@pytest.fixture
def worker(code: Path) -> Iterator[Worker]:
    created = Worker(signature(), code)
    created.wait_loaded()
    yield created
    created.kill()


def signature() -> Signature:
    return Signature(task="values", input="rows", runtime="python", predictor="stuck:Stuck")


def runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_a_killed_replica_leaves_no_process_though_its_predictor_is_stuck_in_c_code(
    code: Path,
) -> None:
    script = code / "replica.py"
    script.write_text(REPLICA)
    replica = subprocess.Popen(
        [sys.executable, str(script), signature().model_dump_json(), str(code)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert replica.stdout is not None
    with replica.stdout:
        pids = [int(replica.stdout.readline()), int((code / "own").read_text())]
        eventually((code / "begun").exists, "it predicts")
        assert all(map(runs, pids))
        replica.kill()
        replica.wait()
        try:
            eventually(lambda: not any(map(runs, pids)), "they end", 10)
        finally:
            for pid in filter(runs, pids):
                os.kill(pid, signal.SIGKILL)


def test_process_1_of_a_container_keeps_no_zombies_of_an_ended_predictor(code: Path) -> None:
    """Orphans become the children of process 1, here of a subreaper, which alone can collect them."""
    script = code / "replica.py"
    script.write_text(AS_PROCESS_1)
    with subprocess.Popen(
        [sys.executable, str(script), signature().model_dump_json(), str(code)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as replica:
        assert replica.stdout is not None
        assert "was killed (SIGKILL)" in replica.stdout.readline()
        process = psutil.Process(replica.pid)
        eventually(
            lambda: len(process.children()) <= 1, "only multiprocessing's own process is left"
        )
        replica.communicate()
    assert replica.returncode == 0


def test_the_end_is_seen_without_a_free_file_descriptor(
    code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    monkeypatch.setattr(os, "dup", refuse)
    worker = Worker(signature(), code)
    worker.wait_loaded()
    os.kill(worker.pid, signal.SIGKILL)
    eventually(worker._ended.is_set, "its end is seen", 10)
    assert "was killed (SIGKILL)" in worker.ending()


def test_an_ended_process_is_not_killed_again(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.kill()
    worker.wait_ended()
    with pytest.raises(WorkerEndedError) as caught:
        worker.predict([{}])
    assert not caught.value.begun, "another process can take the rows"
    killed: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda pid, _: killed.append(pid))
    worker.kill()
    assert killed == []
