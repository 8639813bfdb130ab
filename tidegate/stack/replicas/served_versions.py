"""The model version that each replica reports, fetched once per process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson

from tidegate.runtime.http_probe import Fetch
from tidegate.stack.processes.process_supervisor import ProcessSupervisor

VERSION_SECONDS: Final = 1.0


@dataclass(slots=True)
class ServedVersions:
    """The versions by process id."""

    fetch: Fetch
    _known: dict[int, str] = field(default_factory=dict, init=False)

    def of(self, process: ProcessSupervisor) -> str:
        """The version of a replica's model; empty if unknown."""
        return "" if process.pid is None else self._known.get(process.pid, "")

    async def refresh(self, processes: Mapping[int, ProcessSupervisor]) -> None:
        """Fetch the versions of ready replicas that are unknown; forget the replicas that are gone."""
        pids = {process.pid for process in processes.values()}
        self._known = {pid: version for pid, version in self._known.items() if pid in pids}
        unknown = [
            (process.pid, process.program.ready_url)
            for process in processes.values()
            if process.pid is not None
            and process.state == "ready"
            and process.pid not in self._known
        ]
        responses = await asyncio.gather(*(self.fetch(url, VERSION_SECONDS) for _, url in unknown))
        for (pid, _), text in zip(unknown, responses, strict=True):
            if version := _version(text):
                self._known[pid] = version


def _version(text: str | None) -> str:
    try:
        body = orjson.loads(text or "")
    except orjson.JSONDecodeError:
        return ""
    version = body.get("version") if isinstance(body, dict) else None
    return version if isinstance(version, str) else ""
