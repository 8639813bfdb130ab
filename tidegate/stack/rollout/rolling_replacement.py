"""A rolling replacement: start one replica on the new artefact; when it serves, stop an old one; repeat."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from tidegate.runtime.event_log import EventLog
from tidegate.stack.gateway.runtime_api import RuntimeApiError
from tidegate.stack.processes.process_supervisor import ProcessSupervisor
from tidegate.stack.replicas.release import Release
from tidegate.stack.replicas.replica_pool import ReplicaPool

COMPONENT: Final = "rollout"
POLL_SECONDS: Final = 0.05
TRAFFIC_SECONDS: Final = 15.0
"""The gateway probes each replica twice a second; after this long it cannot reach the replica."""

RolloutState = Literal["rolling", "done", "rolled back", "failed"]


class RolloutStatus(BaseModel):
    """The state of a rollout from the release `before` to `release`; `problem` says what failed."""

    model_config = ConfigDict(frozen=True)

    state: RolloutState
    before: Release
    release: Release
    problem: str = ""


@dataclass(slots=True)
class Rollout:
    """Moves all replicas of a pool to a new release; if one fails, back to the old release.

    During the rollout there is one replica above the desired number, never one below. The desired number may
    change meanwhile.
    """

    pool: ReplicaPool
    event_log: EventLog
    before: Release
    release: Release
    state: RolloutState = field(default="rolling", init=False)
    problem: str = field(default="", init=False)

    @property
    def status(self) -> RolloutStatus:
        """The state now."""
        return RolloutStatus(
            state=self.state, before=self.before, release=self.release, problem=self.problem
        )

    async def run(self) -> None:
        """Run the rollout; `state` is its result."""
        self._log("deploy", f"replacing {self.before.label} with {self.release.label}")
        if self.release.served_by:
            self._log("deploy", f"{self.release.label} is {self.release.served_by}")
        self.problem = await self._replace_all(self.release)
        if not self.problem:
            self.state = "done"
            self._log("deployed", f"every replica serves {self.release.label}")
            return
        self._log("undeploy", f"rolling back {self.release.label}: {self.problem}", failed=True)
        if rollback_problem := await self._replace_all(self.before):
            self.state = "failed"
            self.problem = f"{self.problem}; the rollback failed: {rollback_problem}"
            text = f"the rollback failed, some replicas are not replaced: {rollback_problem}"
            self._log("undeploy", text, failed=True)
            return
        self.state = "rolled back"
        self._log("undeployed", f"every replica serves {self.before.label}")

    async def _replace_all(self, release: Release) -> str:
        """Replace every replica with another release. Returns why that failed; empty if it succeeded."""
        self.pool.set_release(release)
        await self._wait_until_drained()  # a failed replica is removed first
        try:
            while self.pool.outdated():
                if problem := await self._add_replica():
                    return problem
                self.pool.surge(0)
                await self._wait_until_drained()
        finally:
            self.pool.surge(0)
        await self._wait_until_drained()
        return ""

    async def _add_replica(self) -> str:
        """Wait for one more replica of the new release that serves. Returns why there is none."""
        known = {index for index, _ in self.pool.up_to_date()}
        self.pool.surge(1)
        while self.pool.outdated():
            added = next((pair for pair in self.pool.up_to_date() if pair[0] not in known), None)
            if added is None:
                if not self.pool.missing():  # the desired number fell meanwhile: none will start
                    self.pool.surge(0)
                    await self._wait_until_drained()
                    self.pool.surge(1)
                await asyncio.sleep(POLL_SECONDS)
                continue
            index, process = added
            problem = await process.first_ready()
            if self._was_stopped(index, process):  # the desired number fell meanwhile
                continue
            if problem:
                return f"{process.program.name} did not become ready: {problem}"
            return await self._wait_for_traffic(index, process)
        return ""

    async def _wait_for_traffic(self, index: int, process: ProcessSupervisor) -> str:
        try:
            async with asyncio.timeout(TRAFFIC_SECONDS):
                while not await self._receives_traffic(index):
                    if self._was_stopped(index, process):
                        return ""
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            return f"the gateway does not reach {process.program.name}"
        return ""

    async def _receives_traffic(self, index: int) -> bool:
        try:
            return (await self.pool.gateway.servers())[index].is_up
        except (RuntimeApiError, KeyError):
            return False

    async def _wait_until_drained(self) -> None:
        """Wait until the surplus replicas are gone and their indexes are free."""
        while self.pool.has_surplus():  # noqa: ASYNC110 (any change of the pool or the desired number)
            await asyncio.sleep(POLL_SECONDS)

    def _was_stopped(self, index: int, process: ProcessSupervisor) -> bool:
        return self.pool.processes.get(index) is not process or process.state in {
            "draining",
            "gone",
        }

    def _log(self, action: str, message: str, *, failed: bool = False) -> None:
        model = {"name": self.release.name, "version": self.release.version}
        self.event_log.record(
            action,
            message,
            component=COMPONENT,
            level="error" if failed else "info",
            fields={"tidegate": {"component": COMPONENT, "model": model}},
        )
