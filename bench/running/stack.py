"""A stack for a bench in this process, with its own ports and folder."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from bench.engines.engine import free_ports
from tidegate.settings import Settings, load
from tidegate.stack.supervisor.supervisor import StartError, Supervisor
from tidegate.terminal.run import running_stack

ARTEFACT: Final = Path(__file__).parents[2] / "artefacts" / "flights"
ROWS: Final = ARTEFACT / "samples.ndjson"
FIRST_PORT: Final = 24500


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
        settings = own_settings(Path(folder), port or free_ports(FIRST_PORT), sections)
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
