"""The rolling replacement: one replica more on the new artefact, and once it serves, one of the old less."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from tidegate.runtime.event_log import EventLog
from tidegate.stack.processes.process_supervisor import Keeper
from tidegate.stack.replicas.release import Release
from tidegate.stack.replicas.replicas import ReplicaPool

COMPONENT: Final = "rollout"
POLL_SECONDS: Final = 0.05
SEEN_SECONDS: Final = 15.0
"""The gateway looks at each replica twice a second; more than this means that it sees nobody."""

Seen = Callable[[int], Awaitable[bool]]
"""Whether the gateway sends requests to a replica, by its number."""
RolloutState = Literal["rolling", "done", "rolled back", "failed"]


class RolloutStatus(BaseModel):
    """How a replacement stands; `problem` says what went wrong."""

    model_config = ConfigDict(frozen=True)

    state: RolloutState
    before: Release
    release: Release
    problem: str = ""


@dataclass(slots=True)
class Rollout:
    """Brings all replicas of a pool to its new release, or back to the old one.

    There is one replica more than asked for meanwhile, never one less. The number asked for may change
    while it runs.
    """

    pool: ReplicaPool
    event_log: EventLog
    seen: Seen
    before: Release
    release: Release
    state: RolloutState = field(default="rolling", init=False)
    problem: str = field(default="", init=False)

    @property
    def status(self) -> RolloutStatus:
        """How it stands."""
        return RolloutStatus(
            state=self.state, before=self.before, release=self.release, problem=self.problem
        )

    async def run(self) -> None:
        """Do it; `state` says how it ended."""
        self._note("deploy", f"{self.release.words} takes the place of {self.before.words}")
        self.problem = await self._bring_to(self.release)
        if not self.problem:
            self.state = "done"
            self._note("deployed", f"every replica serves {self.release.words}")
            return
        self._note("undeploy", f"{self.release.words} is given up: {self.problem}", failed=True)
        if again := await self._bring_to(self.before):
            self.state = "failed"
            self.problem = f"{self.problem}; and back: {again}"
            self._note("undeploy", f"some replicas stay as they are: {again}", failed=True)
            return
        self.state = "rolled back"
        self._note("undeployed", f"every replica serves {self.before.words}")

    async def _bring_to(self, release: Release) -> str:
        """Returns why it could not be done; empty if it was."""
        self.pool.turn_to(release)
        await self._settled()  # one that failed is gone first
        try:
            while self.pool.others():
                if problem := await self._one_more():
                    return problem
                self.pool.surge(0)
                await self._settled()
        finally:
            self.pool.surge(0)
        await self._settled()
        return ""

    async def _one_more(self) -> str:
        """Wait for one more replica of the new release that serves. Returns why there is none."""
        known = {number for number, _ in self.pool.current()}
        self.pool.surge(1)
        while self.pool.others():
            newcomer = next((pair for pair in self.pool.current() if pair[0] not in known), None)
            if newcomer is None:
                if self.pool.full():  # fewer were asked for meanwhile: there is none to come
                    self.pool.surge(0)
                    await self._settled()
                    self.pool.surge(1)
                await asyncio.sleep(POLL_SECONDS)
                continue
            number, keeper = newcomer
            problem = await keeper.first_ready()
            if self._was_stopped(number, keeper):  # fewer were asked for meanwhile
                continue
            if problem:
                return f"{keeper.program.name} did not become ready: {problem}"
            return await self._until_seen(number, keeper)
        return ""

    async def _until_seen(self, number: int, keeper: Keeper) -> str:
        try:
            async with asyncio.timeout(SEEN_SECONDS):
                while not await self.seen(number):
                    if self._was_stopped(number, keeper):
                        return ""
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            return f"the gateway does not reach {keeper.program.name}"
        return ""

    async def _settled(self) -> None:
        """Wait until those that were given up are gone, and so their numbers are free."""
        while self.pool.surplus():  # noqa: ASYNC110 (any change of the pool or of what is asked for)
            await asyncio.sleep(POLL_SECONDS)

    def _was_stopped(self, number: int, keeper: Keeper) -> bool:
        return self.pool.slots.get(number) is not keeper or keeper.state in {"draining", "gone"}

    def _note(self, action: str, message: str, *, failed: bool = False) -> None:
        of = {"name": self.release.name, "version": self.release.version}
        self.event_log.record(
            action,
            message,
            component=COMPONENT,
            level="error" if failed else "info",
            fields={"tidegate": {"component": COMPONENT, "model": of}},
        )
