"""What is compared: the stack of `tidegate up`, and an application in uvicorn behind a bare HAProxy."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import psutil

from bench.engines.catalogue import SERVED, model, tidegate, up
from bench.engines.cpu import cpu_seconds
from bench.engines.engine import Engine, Running, Task
from tidegate.settings import load
from tidegate.stack.gateway.haproxy import haproxy_binary

OURS, PLAIN, USUAL, SHIPPED = "Tidegate", "plain handler", "usual packages, 5 %", "usual packages"
BARE: Final = "bare ASGI callable"
# Words of the command lines by which the processes are told apart; what matches none is the supervisor.
PARTS: Final = {
    "replica": ("tidegate.service", "tidegate.serving", "uvicorn"),
    "gateway": ("haproxy",),
    "access log": ("access_log",),
    "collector": (" collector",),
    "Prometheus": ("prometheus.yml",),
    "autoscaler": (" autoscaler",),
    "watch": (" monitor watch",),
    "console": (" console",),
}
SUPERVISOR: Final = "supervisor"
REST_SECONDS: Final = 3.0
DELIVERY_SECONDS: Final = 2.0
HAPROXY: Final = """\
global
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen front
    bind 127.0.0.1:{port}
    server application 127.0.0.1:{replica}
"""


def behind_haproxy(application: str) -> Callable[[Task], list[str]]:
    """The command of an application in uvicorn, and of a HAProxy before it with one line of configuration."""

    def command(task: Task) -> list[str]:
        replica = task.port + 1
        (task.folder / "haproxy.cfg").write_text(HAPROXY.format(port=task.port, replica=replica))
        server = (
            *(sys.executable, "-m", "uvicorn", "--loop", "uvloop", "--http", "httptools"),
            *("--no-access-log", "--host", "127.0.0.1", "--port", str(replica)),
            # Longer than a pause of the bench: HAProxy would send on a connection that is being closed.
            *("--timeout-keep-alive", "75", application),
        )
        both = '"$0" -f haproxy.cfg & exec "$@"'
        return ["bash", "-c", both, str(haproxy_binary()), *server]

    return command


def _sampled(task: Task) -> Mapping[str, str]:
    ratio = str(load().telemetry.sample_ratio)
    sampler = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": ratio}
    return {**model(task), **sampler}


def ours(**own: str) -> Engine:
    """The stack of `tidegate up`, one replica; `own` are variables beside those of every bench."""
    variables = lambda task: {**tidegate(task), **own}  # noqa: E731
    return Engine(OURS, "`tidegate up`, one replica", "", lambda _: up(), variables)


SIDES: Final = (
    ours(),
    Engine(PLAIN, "FastAPI, Pydantic, ONNX Runtime", "", behind_haproxy("plain_app:app"), model),
    Engine(USUAL, "as many traces as ours", "", behind_haproxy("usual_app:app"), _sampled),
    Engine(SHIPPED, "all traces, as by default", "", behind_haproxy("usual_app:app"), model),
    Engine(BARE, "orjson and ONNX Runtime alone", "", behind_haproxy("bare_app:app"), model),
)
assert (SERVED / "usual_app.py").is_file()


def by_part(root: int) -> dict[str, list[int]]:
    """The processes of a side by part, from the process that it was started as."""
    found: dict[str, list[int]] = {}
    for process in (psutil.Process(root), *psutil.Process(root).children(recursive=True)):
        words = " ".join(process.cmdline())
        part = next((p for p, own in PARTS.items() if any(w in words for w in own)), SUPERVISOR)
        found.setdefault(part, []).append(process.pid)
    return found


def spent_by_part(running: Running, send: Callable[[], object], requests: int) -> dict[str, float]:
    """µs of CPU of a request by part while `send` sends them, without what each part uses at rest."""
    first, began = cpu_by_part(running), time.monotonic()
    time.sleep(REST_SECONDS)
    second, loaded = cpu_by_part(running), time.monotonic()
    send()
    time.sleep(DELIVERY_SECONDS)
    third, took = cpu_by_part(running), time.monotonic() - loaded
    spent = {}
    for part, after in third.items():
        rest = (second[part] - first[part]) / (loaded - began)
        spent[part] = (after - second[part] - rest * took) / requests * 1e6
    return spent


def cpu_by_part(running: Running) -> dict[str, float]:
    """CPU seconds of each part until now."""
    return {part: cpu_seconds(pids) for part, pids in by_part(running.process.pid).items()}


def private_bytes(pids: list[int]) -> int:
    """Memory that only these processes have: it would be free without them."""
    fields = ("Private_Clean:", "Private_Dirty:")
    lines = [
        line.split()
        for pid in pids
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    ]
    return sum(int(line[1]) * 1024 for line in lines if line[0] in fields)
