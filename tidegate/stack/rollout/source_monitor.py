"""Reports that what replicas were started from has changed since: they go on serving the copy."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tidegate.runtime.event_log import EventLog
from tidegate.service.artefacts.source_changes import SourceChanges
from tidegate.service.model.artefact import read_manifest
from tidegate.stack.replicas.release import Release

POLL_SECONDS: Final = 5.0


@dataclass(slots=True)
class SourceMonitor:
    """Watches the source of the release in force. `problem` is empty, or says what changed and what to do."""

    release: Callable[[], Release]
    event_log: EventLog
    problem: str = field(default="", init=False)
    _of: Release | None = field(default=None, init=False)
    _changes: SourceChanges | None = field(default=None, init=False)

    async def run(self) -> None:
        """Look every few seconds, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(POLL_SECONDS)

    async def look(self) -> None:
        """Compare once; a change is one event."""
        release = self.release()
        if release is not self._of and release.source:
            manifest = await asyncio.to_thread(read_manifest, release.path)
            self._changes = SourceChanges(release.source, manifest)
            self._of, self.problem = release, ""
        if self._changes is None or not await asyncio.to_thread(self._changes.found):
            self.problem = ""
        elif not self.problem:
            source = self._changes.source
            self.problem = (
                f"{source} has changed; replicas serve {release.label}, as it was before, until "
                f"`tidegate deploy {shlex.quote(str(source))}`"
            )
            self.event_log.record("changed", self.problem, level="warn", component="model")
