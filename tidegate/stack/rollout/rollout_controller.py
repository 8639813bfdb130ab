"""Starts rollouts of new artefacts, one at a time, and serves `PUT /model` on the control socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from tidegate.runtime.event_log import EventLog
from tidegate.stack.replicas.release import Release, ReleaseRefusedError, admit
from tidegate.stack.replicas.replica_pool import ReplicaPool
from tidegate.stack.rollout.rolling_replacement import Rollout, TrafficCheck


class DeployRequest(BaseModel):
    """The body of `PUT /model`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path


@dataclass(slots=True)
class RolloutController:
    """Replaces the replicas of a pool, one rollout at a time.

    Attributes:
        pool: the replicas.
        event_log: records the rollouts.
        receives_traffic: whether the gateway sends requests to a replica.
        copies: the folder for copies of artefacts.
        env: the environment of the replicas.
        cwd: their working directory.
        rollout: the last one.
    """

    pool: ReplicaPool
    event_log: EventLog
    receives_traffic: TrafficCheck
    copies: Path
    env: Mapping[str, str]
    cwd: Path
    rollout: Rollout | None = field(default=None, init=False)
    _checking: bool = field(default=False, init=False)
    _task: asyncio.Task[None] | None = field(default=None, init=False)

    @property
    def busy(self) -> bool:
        """Whether a rollout is in progress."""
        return self._checking or (self._task is not None and not self._task.done())

    async def deploy(self, path: Path) -> Release:
        """Check an artefact and start its rollout; returns when the artefact is admitted.

        Raises:
            ReleaseRefusedError: it cannot be served in place of the current one, or another rollout is in
                progress. Nothing is changed.
        """
        if self.busy:
            raise ReleaseRefusedError("another rollout is in progress: see `tidegate status`")
        self._checking = True
        before = self.pool.release
        try:
            release = await admit(path, self.copies, before.path, self.env, self.cwd)
        except ReleaseRefusedError as error:
            self.event_log.record(
                "refuse", f"{path} is refused: {error}", component="rollout", level="warn"
            )
            raise
        finally:
            self._checking = False
        self.rollout = Rollout(self.pool, self.event_log, self.receives_traffic, before, release)
        self._task = asyncio.create_task(self.rollout.run())
        return release

    async def stop(self) -> None:
        """Cancel the rollout; the replicas stay as they are."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def add_routes(self, app: web.Application) -> None:
        """`PUT /model {"path": …}`: 202 with the release, 409 if it is refused."""

        async def put_model(request: web.Request) -> web.Response:
            try:
                body = DeployRequest.model_validate_json(await request.read())
            except ValidationError as error:
                text = f"body: {error.errors(include_url=False)[0]['msg']}"
                return web.json_response({"error": text}, status=400)
            try:
                release = await self.deploy(body.path)
            except ReleaseRefusedError as error:
                return web.json_response({"error": str(error)}, status=409)
            return web.Response(
                text=release.model_dump_json(), status=202, content_type="application/json"
            )

        app.router.add_put("/model", put_model)
