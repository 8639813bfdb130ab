"""A predictor in processes of its own, in a real replica: its processes end with it, and are replaced."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from support.eventually import eventually
from support.processes.service_process import Service, service

pytestmark = pytest.mark.integration

CODE = """
import os
import time
from pathlib import Path

HERE = Path(__file__).parent


class Slow:
    def load(self):
        (HERE / f"loaded-{os.getpid()}").touch()

    def predict(self, rows):
        if rows[0].get("wait"):
            (HERE / f"begun-{os.getpid()}").touch()
            while not (HERE / "go").exists():
                time.sleep(0.01)
        return [os.getpid() for _ in rows]
"""


def predict(found: Service, **row: bool) -> httpx.Response:
    return httpx.post(f"{found.url}/predict", json={"instances": [row]}, timeout=60)


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def pids(folder: Path, what: str) -> set[int]:
    return {int(file.name.partition("-")[2]) for file in folder.glob(f"{what}-*")}


def test_a_killed_process_fails_its_request_and_sigterm_ends_them_after_the_last_response(
    tmp_path: Path,
) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "slow.py").write_text(CODE)
    settings = {
        "TIDEGATE_MODEL__RUN": "process",
        "TIDEGATE_SERVICE__APP_DIR": str(code),
        "TIDEGATE_SLOTS__PER_REPLICA": "2",
    }
    with (
        service(tmp_path, Path("slow:Slow"), **settings) as found,
        ThreadPoolExecutor(1) as thread,
    ):
        eventually(lambda: found.ready() == 200, "ready")
        first = pids(code, "loaded")
        assert len(first) == 2

        killed = thread.submit(predict, found, wait=True)
        eventually(lambda: len(pids(code, "begun")) == 1, "a request is in a process")
        (victim,) = pids(code, "begun")
        os.kill(victim, signal.SIGKILL)
        response = killed.result(60)
        assert response.status_code == 503
        assert "was killed (SIGKILL), most likely because there was too" in response.text
        eventually(lambda: len(pids(code, "loaded")) == 3, "it is replaced")
        assert predict(found).status_code == 200

        last = thread.submit(predict, found, wait=True)
        eventually(lambda: len(pids(code, "begun")) == 2, "a request is in a process")
        found.process.send_signal(signal.SIGTERM)
        eventually(lambda: found.ready() != 200, "it drains")
        (code / "go").touch()
        assert last.result(60).status_code == 200
        assert found.process.wait(60) == 0
        eventually(lambda: not any(map(runs, pids(code, "loaded"))), "the processes ended")
