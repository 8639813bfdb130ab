"""The supervisor: starts the programs in order, keeps them running, stops them without loss."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from tidegate.resizer.local import LocalResizer
from tidegate.resizer.server import make_app, serve_unix
from tidegate.settings import Settings
from tidegate.stack import prometheus
from tidegate.stack.access import AccessLines
from tidegate.stack.components import START_SECONDS, Programs, replica_name, replica_port, url
from tidegate.stack.elasticsearch import Watched
from tidegate.stack.environment import absolute, environment
from tidegate.stack.journal import Journal
from tidegate.stack.keeper import STARTING_POLL_SECONDS, Keeper, Program
from tidegate.stack.layout import Layout
from tidegate.stack.preflight import start_problems
from tidegate.stack.probe import Fetch, Probe, asking
from tidegate.stack.process import bound_output
from tidegate.stack.replicas import ReplicaPool, gateway_load
from tidegate.stack.status import StackState, StackStatus, judge, program_status

TIDY_SECONDS: Final = 5.0


class StartError(RuntimeError):
    """The stack cannot start. Its text has a line or more for each reason."""


@asynccontextmanager
async def running_stack(settings: Settings) -> AsyncIterator[Supervisor]:
    """A supervisor that holds the data folder; what it started is stopped at the end of the block.

    Nothing is started yet: that is `Supervisor.start`.

    Raises:
        StackRunningError: another stack runs in the data folder.
        OSError: the data folder cannot be written to.
    """
    settings = absolute(settings, Path.cwd())
    layout = Layout(settings.stack.data_dir)
    layout.make()
    with layout.locked():
        async with asking() as (probe, fetch):
            supervisor = Supervisor(settings, layout, Journal.of(settings), probe, fetch)
            async with serve_unix(supervisor.control(), layout.socket):
                try:
                    yield supervisor
                finally:
                    await supervisor.stop()


class Supervisor:
    """The programs of one stack. Made by `running_stack`."""

    def __init__(
        self, settings: Settings, layout: Layout, journal: Journal, probe: Probe, fetch: Fetch
    ) -> None:
        self.settings = settings
        self.journal = journal
        self.started_at = time.time()
        self._layout = layout
        self._probe = probe
        self._state: StackState = "starting"
        self._components: dict[str, Keeper] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._access = AccessLines.of(settings, layout.output("gateway"))
        self._elasticsearch: Watched | None = None
        env = environment(settings, os.environ, layout.run / "settings.toml")
        self._programs = Programs(settings, layout, env, Path.cwd())
        self._pool = ReplicaPool(
            make=lambda number: self._keeper(self._programs.replica(number), self._write_targets),
            journal=journal,
            load=gateway_load(fetch, settings.gateway.metrics_port),
            limit=settings.replicas.max,
            desired=settings.replicas.start,
        )

    def control(self) -> web.Application:
        """What answers on the control socket: the resizer's routes and `GET /status`."""

        async def get_status(request: web.Request) -> web.Response:
            del request
            return web.Response(
                text=self.status().model_dump_json(), content_type="application/json"
            )

        app = make_app(LocalResizer(self._pool, self.settings.replicas))
        app.router.add_get("/status", get_status)
        return app

    async def start(self) -> None:
        """Start everything; returns when all of it is ready.

        Raises:
            StartError: something is missing or taken, or a program did not become ready.
        """
        if problems := await start_problems(self.settings):
            raise StartError("\n".join(problems))
        for output in self._layout.run.glob("*.log"):
            if output != self._layout.output("supervisor"):
                bound_output(output, 0)  # what stands there after a failure shall be of this start
        self.journal.note("start", f"starts in {self._layout.data}")
        if self.settings.store.kind == "elasticsearch":
            self._elasticsearch = Watched(self.settings.store.elasticsearch, self.journal)
            self._background(self._elasticsearch.run())
        self._background(self._tidy())
        # Those that need nothing of each other start at the same time; the gateway wants replicas, the
        # autoscaler wants signals.
        await self._until_ready(
            self._component(self._programs.prometheus()),
            self._component(self._programs.collector()),
            *self._pool.begin(),
        )
        self._background(self._pool.run())
        await self._until_ready(self._component(await self._programs.gateway(self._access)))
        await self._until_served()
        if self.settings.autoscaler.enabled:
            await self._until_ready(self._component(self._programs.autoscaler()))
        self._state = "ready"
        self.journal.note("ready", f"everything is ready {time.time() - self.started_at:.1f} s on")

    async def stop(self) -> None:
        """Stop everything so that no request and no event is lost; takes `stop_seconds` at most.

        The autoscaler first, so that nobody resizes; then the gateway, which answers what it has taken
        while replicas are still there; then the replicas; and when no one writes events any more, the
        collector, which delivers the last of them.
        """
        if self._state == "stopping":
            return
        self._state = "stopping"
        if self._components:
            self.journal.note("stop", "stops: requests are answered, events delivered")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stop("autoscaler")
        await self._stop("gateway")
        await self._pool.drain_all()
        self._access.close()
        self.journal.close()
        await asyncio.gather(self._stop("collector"), self._stop("prometheus"))

    def kill(self) -> None:
        """Kill every program now, for a person who does not want to wait."""
        for keeper in [*self._components.values(), *self._pool.slots.values()]:
            keeper.kill()

    def status(self) -> StackStatus:
        """The stack now."""
        components = [program_status(keeper) for keeper in self._components.values()]
        if self._elasticsearch:
            components.append(self._elasticsearch.status())
        replicas = [program_status(keeper) for _, keeper in sorted(self._pool.slots.items())]
        ready = sum(one.state == "ready" for one in replicas)
        settings = self.settings
        return StackStatus(
            state=judge(components, replicas) if self._state == "ready" else self._state,
            pid=os.getpid(),
            started_at=self.started_at,
            data_dir=str(self._layout.data),
            service=settings.service.name,
            gateway=url(settings.stack.host, settings.gateway.port),
            prometheus=url(settings.stack.host, settings.prometheus.port),
            store=settings.store.kind,
            simulated_device=settings.device.simulated,
            objective_seconds=settings.slo.latency_seconds,
            components=components,
            min=settings.replicas.min,
            max=settings.replicas.max,
            desired=self._pool.desired,
            running=ready + sum(one.state == "starting" for one in replicas),
            ready=ready,
            replicas=replicas,
            recent=list(self.journal.recent),
        )

    def _keeper(self, program: Program, changed: Any = lambda: None) -> Keeper:
        return Keeper(program, self.journal, self._probe, changed)

    def _component(self, program: Program) -> Keeper:
        keeper = self._components[program.name] = self._keeper(program)
        keeper.begin()
        return keeper

    async def _until_ready(self, *keepers: Keeper) -> None:
        for first in asyncio.as_completed([_named(keeper) for keeper in keepers]):
            name, problem = await first
            if problem:
                output = self._layout.output(name)
                raise StartError(f"{name} did not become ready: {problem}\n(see {output})")

    async def _until_served(self) -> None:
        """Wait until the gateway has seen a replica ready, with its own checks."""
        ready_url = f"{url(self.settings.stack.host, self.settings.gateway.port)}/ready"
        problem = ""
        try:
            async with asyncio.timeout(START_SECONDS):
                while True:
                    problem = await self._probe(ready_url)
                    if not problem:
                        return
                    await asyncio.sleep(STARTING_POLL_SECONDS)
        except TimeoutError:
            raise StartError(f"the gateway reaches no replica: {problem}") from None

    async def _stop(self, name: str) -> None:
        if keeper := self._components.get(name):
            await keeper.stop()

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    def _write_targets(self) -> None:
        targets = {
            replica_name(self.settings, number): f"127.0.0.1:{replica_port(self.settings, number)}"
            for number in self._pool.slots
        }
        try:
            prometheus.write_targets(self._layout.prometheus, targets)
        except OSError as error:
            # A full disk must not end a replica's keeper; the next change writes them anew.
            self.journal.note(
                "targets", f"Prometheus' list of replicas is not written: {error}", level="error"
            )

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY_SECONDS)
            for output in self._layout.run.glob("*.log"):
                bound_output(output)


async def _named(keeper: Keeper) -> tuple[str, str]:
    return keeper.program.name, await keeper.first_ready()
