"""Starts rollouts of new artefacts or code, one at a time, and serves `PUT /model` on the control socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from tidegate.runtime.event_log import EventLog
from tidegate.settings import is_import_string
from tidegate.stack.replicas.release import Release, ReleaseRefusedError, admit, prune_copies
from tidegate.stack.replicas.replica_pool import ReplicaPool
from tidegate.stack.rollout.rolling_replacement import COMPONENT, Rollout


class DeployRequest(BaseModel):
    """The body of `PUT /model`. Without a path: the code of the application that is on disk now."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path | None = None


@dataclass(slots=True)
class RolloutController:
    """Replaces the replicas of a pool, one rollout at a time.

    Artefacts are copied into `copies`. With an `own_program` replicas run an application or a command.
    """

    pool: ReplicaPool
    event_log: EventLog
    copies: Path
    env: Mapping[str, str]
    cwd: Path
    own_program: bool = False
    rollout: Rollout | None = field(default=None, init=False)
    _first: Release | None = field(default=None, init=False)
    _checking: bool = field(default=False, init=False)
    _task: asyncio.Task[None] | None = field(default=None, init=False)

    @property
    def busy(self) -> bool:
        """Whether a rollout is in progress."""
        return self._checking or (self._task is not None and not self._task.done())

    async def deploy(self, path: Path | None) -> Release:
        """Check an artefact and start its rollout; returns when the artefact is admitted.

        The code of an application is checked by the rollout itself, which stops an old replica only when a
        new one is ready.

        Args:
            path: of the artefact; None for the code of an application that is on disk now.

        Raises:
            ReleaseRefusedError: it cannot be served in place of the current one, or another rollout is in
                progress. Nothing is changed.
        """
        if self.busy:
            raise ReleaseRefusedError("another rollout is in progress: see `tidegate status`")
        before = self.pool.release
        if not (self.own_program or before.digest):
            raise ReleaseRefusedError(
                "the stack has not read its own model yet: see `tidegate status`"
            )
        self._checking = True
        try:
            release = await self._admit(path, before)
        except ReleaseRefusedError as error:
            text = f"{path or 'the deployment'} is refused: {error}"
            self.event_log.record("refuse", text, component="rollout", level="warn")
            raise
        finally:
            self._checking = False
        self.rollout = Rollout(self.pool, self.event_log, before, release)
        self._task = asyncio.create_task(self._run(self.rollout))
        return release

    async def _run(self, rollout: Rollout) -> None:
        """Run the rollout; whatever fails, it has an end that `tidegate deploy` waits for."""
        try:
            await rollout.run()
        except Exception as error:  # noqa: BLE001 - as `keep_running`, but it must not begin again
            rollout.state, rollout.problem = "failed", f"unexpected error: {error!r}"
            self.event_log.fault(COMPONENT, error)

    async def _admit(self, path: Path | None, before: Release) -> Release:
        if not self.own_program:
            if path is None:
                raise ReleaseRefusedError(
                    "the replicas run the model service: name the artefact folder or model file to serve"
                )
            self._first = self._first or before
            release = await admit(path, self.copies, before.path, self.env, self.cwd)
            # The next start is with the first one. Not after the rollout, whose end lets another one begin.
            used = (self._first, before, release)
            await asyncio.to_thread(prune_copies, self.copies, *used)
            # Code is loaded anew even if its declaration is the same: it may read other files.
            loaded_at = _now() if is_import_string(path) else ""
            return release.model_copy(update={"loaded_at": loaded_at, "shadow": before.shadow})
        if path is not None:
            raise ReleaseRefusedError(
                f"the replicas run {before.name}, which serves no artefact: `tidegate deploy` without a path"
                " rolls out its code that is on disk now"
            )
        return Release(path=before.path, name=before.name, loaded_at=_now())

    async def stop(self) -> None:
        """Cancel the rollout; the replicas stay as they are."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def add_routes(self, app: web.Application) -> None:
        """`PUT /model {"path": …}`, or `{}` for code: 202 with the release, 409 if it is refused."""

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


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
