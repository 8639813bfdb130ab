"""Taking a new artefact in while the stack runs: the routes of the control socket for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from tidegate.runtime.event_log import EventLog
from tidegate.runtime.http_probe import Fetch
from tidegate.stack.processes.process_supervisor import Keeper
from tidegate.stack.replicas.release import Release, ReleaseRefusedError, take_in
from tidegate.stack.replicas.replicas import ReplicaPool
from tidegate.stack.rollout.rolling_replacement import Rollout, Seen

VERSION_SECONDS: Final = 1.0


class DeployRequest(BaseModel):
    """The body of `PUT /model`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path


@dataclass(slots=True)
class Deployment:
    """Replaces the replicas of a pool, one rollout at a time."""

    pool: ReplicaPool
    event_log: EventLog
    seen: Seen
    kept: Path
    env: Mapping[str, str]
    cwd: Path
    rollout: Rollout | None = field(default=None, init=False)
    _checking: bool = field(default=False, init=False)
    _task: asyncio.Task[None] | None = field(default=None, init=False)

    @property
    def busy(self) -> bool:
        """Whether a replacement is under way."""
        return self._checking or (self._task is not None and not self._task.done())

    async def deploy(self, path: Path) -> Release:
        """Check an artefact, and begin to replace the replicas; returns once it is taken in.

        Raises:
            ReleaseRefusedError: it cannot be served in place of the current one, or another replacement
                is under way. Nothing is changed.
        """
        if self.busy:
            raise ReleaseRefusedError("another replacement is under way: see `tidegate status`")
        self._checking = True
        before = self.pool.release
        try:
            release = await take_in(path, self.kept, before.path, self.env, self.cwd)
        except ReleaseRefusedError as error:
            self.event_log.record(
                "refuse", f"{path} is refused: {error}", component="rollout", level="warn"
            )
            raise
        finally:
            self._checking = False
        self.rollout = Rollout(self.pool, self.event_log, self.seen, before, release)
        self._task = asyncio.create_task(self.rollout.run())
        return release

    async def stop(self) -> None:
        """Leave the replicas as they are."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def add_routes(self, app: web.Application) -> None:
        """`PUT /model {"path": …}`: 202 with what it is, 409 if it is refused."""

        async def put_model(request: web.Request) -> web.Response:
            try:
                wanted = DeployRequest.model_validate_json(await request.read())
            except ValidationError as error:
                text = f"body: {error.errors(include_url=False)[0]['msg']}"
                return web.json_response({"error": text}, status=400)
            try:
                release = await self.deploy(wanted.path)
            except ReleaseRefusedError as error:
                return web.json_response({"error": str(error)}, status=409)
            return web.Response(
                text=release.model_dump_json(), status=202, content_type="application/json"
            )

        app.router.add_put("/model", put_model)


@dataclass(slots=True)
class Versions:
    """Which version each replica says it serves: asked once for each process."""

    fetch: Fetch
    _known: dict[int, str] = field(default_factory=dict, init=False)

    def of(self, keeper: Keeper) -> str:
        """The version of a replica's model; empty if it is not known."""
        return "" if keeper.pid is None else self._known.get(keeper.pid, "")

    async def learn(self, keepers: Mapping[int, Keeper]) -> None:
        """Ask those that are ready and were not asked; forget those that are gone."""
        pids = {keeper.pid for keeper in keepers.values()}
        self._known = {pid: version for pid, version in self._known.items() if pid in pids}
        fresh = [
            (keeper.pid, keeper.program.ready_url)
            for keeper in keepers.values()
            if keeper.pid is not None and keeper.state == "ready" and keeper.pid not in self._known
        ]
        answers = await asyncio.gather(*(self.fetch(url, VERSION_SECONDS) for _, url in fresh))
        for (pid, _), text in zip(fresh, answers, strict=True):
            if version := _version(text):
                self._known[pid] = version


def _version(text: str | None) -> str:
    try:
        told = orjson.loads(text or "")
    except orjson.JSONDecodeError:
        return ""
    version = told.get("version") if isinstance(told, dict) else None
    return version if isinstance(version, str) else ""
