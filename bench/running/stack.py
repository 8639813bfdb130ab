"""A stack for a bench in this process, with its own ports and folder, and a constant load."""

from __future__ import annotations

import asyncio
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from yarl import URL

from tidegate.loadgen.plan.bodies import bodies_of_rows, read_rows
from tidegate.loadgen.plan.plan import make_plan
from tidegate.loadgen.plan.rates import Constant
from tidegate.loadgen.plan.scenario import Schedule, Weights
from tidegate.loadgen.send.record import Recording
from tidegate.loadgen.send.sender import Limits, OpenLoop
from tidegate.resizer.client import ResizerClient
from tidegate.settings import Settings, load
from tidegate.stack.data_folder import Layout
from tidegate.stack.supervisor.supervisor import StartError, Supervisor, running_stack

ARTEFACT: Final = Path(__file__).parents[2] / "artefacts" / "flights"
ROWS: Final = ARTEFACT / "samples.ndjson"
FIRST_PORT: Final = 24500
PORTS: Final = 20
LAST_PORT: Final = 32_000
POLL_SECONDS: Final = 0.01
# Longer than any bench; the load is stopped at the end.
LOAD_SECONDS: Final = Fraction(3600 * 2)


@asynccontextmanager
async def own_stack(port: int, **sections: dict[str, Any]) -> AsyncIterator[Supervisor]:
    """Run a stack with these settings (a dict per section) and defaults for all others.

    Args:
        port: the first of its ports; 0 searches for free ones.
        sections: the sections of tidegate.toml.

    Raises:
        SystemExit: the stack cannot start; the message contains the reason.
    """
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        settings = own_settings(Path(folder), port or free_ports(), sections)
        async with running_stack(settings) as supervisor:
            try:
                await supervisor.start()
            except StartError as error:
                sys.exit(f"the stack cannot start: {error}")
            yield supervisor


def own_settings(folder: Path, port: int, sections: dict[str, dict[str, Any]]) -> Settings:
    """Return the settings of a stack in a folder, with ports from this one on."""
    own: dict[str, dict[str, Any]] = {
        "model": {"path": ARTEFACT},
        "gateway": {"port": port, "metrics_port": port + 1},
        "prometheus": {"port": port + 2, "scrape_seconds": 1},
        "collector": {"metrics_port": port + 3},
        "autoscaler": {"metrics_port": port + 4},
        "drift": {"watch_port": port + 5},
        "console": {"enabled": False},
        "replicas": {"first_port": port + 6},
        "device": {"simulated": True},
        "stack": {"data_dir": folder / "data"},
    }
    for section, values in sections.items():
        own[section] = {**own.get(section, {}), **values}
    return load(**own)


def free_ports(first: int = FIRST_PORT) -> int:
    """Return the first of PORTS consecutive ports that are currently free."""
    for port in range(first, LAST_PORT, PORTS):
        try:
            for one in range(port, port + PORTS):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", one))
        except OSError:
            continue
        return port
    sys.exit(f"no {PORTS} free ports in a row from {first} on")


def resizer(supervisor: Supervisor) -> ResizerClient:
    """Return a client of the stack's resizer."""
    socket_path = Layout(supervisor.settings.stack.data_dir).socket
    return ResizerClient(f"unix:{socket_path}", timeout_seconds=10.0)


async def until(condition: Callable[[], bool], description: str, seconds: float = 120.0) -> float:
    """Wait until a condition is true, and return the duration.

    Raises:
        SystemExit: the condition is not true within this number of seconds.
    """
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            sys.exit(f"not within {seconds:g} s: {description}")
        await asyncio.sleep(POLL_SECONDS)
    return time.monotonic() - began


@asynccontextmanager
async def constant_load(url: str, rate: float, kinds: Weights) -> AsyncIterator[Recording]:
    """Send Poisson arrivals at a constant rate during the block.

    At the end of the block it waits for outstanding responses.
    """
    phase = Constant(kind="constant", seconds=LOAD_SECONDS, rate=Fraction(rate))
    schedule = Schedule("constant", "", "poisson", kinds, tuple(phase.segments()))
    plan = make_plan(schedule, 1)
    recording = Recording.of(plan)
    bodies = bodies_of_rows(read_rows(ROWS), schedule.kinds)
    sender = OpenLoop(plan, bodies, URL(url) / "predict", recording, Limits())
    sending = asyncio.create_task(sender.run())
    try:
        yield recording
    finally:
        sender.stop()
        await sending
