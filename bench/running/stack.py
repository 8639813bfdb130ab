"""A stack of a bench's own, in this process: on its own ports, in its own folder, with a load before it."""

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

from tidegate.loadgen.plan.bodies import Bodies, read_rows
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
# Longer than any bench: the load ends when it is told to.
LOAD_SECONDS: Final = Fraction(3600 * 2)


@asynccontextmanager
async def own_stack(port: int, **sections: dict[str, Any]) -> AsyncIterator[Supervisor]:
    """A running stack with these settings (a dict a section); everything else has its default.

    Args:
        port: the first of the ports that it may take; 0 looks for free ones.
        sections: as in tidegate.toml.

    Raises:
        SystemExit: it cannot start; the text says why.
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
    """The settings of a stack in that folder, on ports from this one on."""
    own: dict[str, dict[str, Any]] = {
        "model": {"path": ARTEFACT},
        "gateway": {"port": port, "metrics_port": port + 1},
        "prometheus": {"port": port + 2, "scrape_seconds": 1},
        "collector": {"metrics_port": port + 3},
        "autoscaler": {"metrics_port": port + 4},
        "drift": {"watch_port": port + 5},
        "replicas": {"first_port": port + 6},
        "device": {"simulated": True},
        "stack": {"data_dir": folder / "data"},
    }
    for section, values in sections.items():
        own[section] = {**own.get(section, {}), **values}
    return load(**own)


def free_ports(first: int = FIRST_PORT) -> int:
    """The first of so many ports in a row that are free now."""
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
    """The stack's resizer, as the autoscaler reaches it."""
    socket_path = Layout(supervisor.settings.stack.data_dir).socket
    return ResizerClient(f"unix:{socket_path}", timeout_seconds=10.0)


async def until(holds: Callable[[], bool], what: str, seconds: float = 120.0) -> float:
    """Wait until it holds; returns how long that took.

    Raises:
        SystemExit: it does not within so many seconds.
    """
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > seconds:
            sys.exit(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(POLL_SECONDS)
    return time.monotonic() - began


@asynccontextmanager
async def constant_load(url: str, rate: float, kinds: Weights) -> AsyncIterator[Recording]:
    """An open loop at a constant rate of Poisson arrivals, for as long as the block lasts.

    At the end of the block it waits for the answers that are still to come.
    """
    phase = Constant(kind="constant", seconds=LOAD_SECONDS, rate=Fraction(rate))
    schedule = Schedule("constant", "", "poisson", kinds, tuple(phase.segments()))
    plan = make_plan(schedule, 1)
    recording = Recording.of(plan)
    bodies = Bodies(read_rows(ROWS), schedule.kinds)
    sender = OpenLoop(plan, bodies, URL(url) / "predict", recording, Limits())
    sending = asyncio.create_task(sender.run())
    try:
        yield recording
    finally:
        sender.stop()
        await sending
