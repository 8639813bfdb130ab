"""The supervisor: starts the programs in order, keeps them running, stops them without loss."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from tidegate.resizer.rate_limit import RateLimitedResizer
from tidegate.resizer.server import make_app, serve_unix
from tidegate.runtime.event_log import EventLog
from tidegate.runtime.http_probe import Fetch, Probe, probe_session
from tidegate.runtime.slots_file import SlotsFile
from tidegate.settings import Settings
from tidegate.stack import prometheus
from tidegate.stack.data_folder import Layout
from tidegate.stack.disk import folder_problem
from tidegate.stack.gateway.access_log import AccessLines
from tidegate.stack.gateway.configuration import ADMIN_SOCKET
from tidegate.stack.gateway.runtime_api import GatewayAdmin
from tidegate.stack.processes.environment import absolute, environment
from tidegate.stack.processes.process import bound_output
from tidegate.stack.processes.process_supervisor import STARTING_POLL_SECONDS, Keeper, Program
from tidegate.stack.replicas.local_resizer import LocalResizer
from tidegate.stack.replicas.release import Release
from tidegate.stack.replicas.replica_slots import SlotsPool, slots_shown
from tidegate.stack.replicas.replicas import ReplicaPool, gateway_load, gateway_sees
from tidegate.stack.rollout.control_routes import Deployment, Versions
from tidegate.stack.supervisor.external_elasticsearch import Watched
from tidegate.stack.supervisor.programs import (
    START_SECONDS,
    Programs,
    replica_address,
    replica_name,
    replica_port,
    url,
)
from tidegate.stack.supervisor.status import (
    StackState,
    StackStatus,
    judge,
    pause_status,
    program_status,
)

NODE: Final = "stack"
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
        async with probe_session() as (probe, fetch):
            supervisor = Supervisor(
                settings, layout, EventLog.to_files(settings, NODE, NODE), probe, fetch
            )
            async with serve_unix(supervisor.control(), layout.socket):
                try:
                    yield supervisor
                finally:
                    await supervisor.stop()


class Supervisor:
    """The programs of one stack. Made by `running_stack`."""

    def __init__(
        self, settings: Settings, layout: Layout, event_log: EventLog, probe: Probe, fetch: Fetch
    ) -> None:
        self.settings = settings
        self.event_log = event_log
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
            make=lambda number, release: self._keeper(
                self._programs.replica(number, release), self._replicas_changed
            ),
            event_log=event_log,
            load=gateway_load(fetch, settings.gateway.metrics_port),
            limit=settings.replicas.max,
            desired=settings.replicas.start,
            release=Release(path=settings.model.path),
        )
        self._slots = self._slots_pool(fetch) if settings.slots.max is not None else None
        self._versions = Versions(fetch)
        self._deployment = Deployment(
            self._pool,
            event_log,
            gateway_sees(fetch, settings.gateway.metrics_port),
            layout.data / "models",
            env,
            Path.cwd(),
        )

    def control(self) -> web.Application:
        """What answers on the control socket: the resizer's routes, `GET /status` and `PUT /model`."""

        async def get_status(request: web.Request) -> web.Response:
            del request
            await self._versions.learn(self._pool.slots)
            return web.Response(
                text=self.status().model_dump_json(), content_type="application/json"
            )

        bounds = self.settings.replicas
        resizer = LocalResizer(self._pool, bounds, self._slots)
        app = make_app(RateLimitedResizer(resizer, bounds.max, time.monotonic))
        app.router.add_get("/status", get_status)
        self._deployment.add_routes(app)
        return app

    async def start(self) -> None:
        """Start everything; returns when all of it is ready.

        Raises:
            StartError: a program did not become ready.
        """
        for output in self._layout.run.glob("*.log"):
            if output != self._layout.output("supervisor"):
                bound_output(output, 0)  # what stands there after a failure shall be of this start
        self.event_log.record("start", f"starts in {self._layout.data}", component=NODE)
        if self.settings.store.kind == "elasticsearch":
            self._elasticsearch = Watched(self.settings.store.elasticsearch, self.event_log)
            self._background(self._elasticsearch.run())
        self._background(self._tidy())
        if self._slots:
            self._slots.begin()
        # Those that need nothing of each other start at the same time; the gateway wants replicas, the
        # autoscaler wants signals.
        await self._until_ready(
            self._component(self._programs.prometheus()),
            self._component(self._programs.collector()),
            *self._watching(),
            *self._pool.begin(),
        )
        self._background(self._pool.run())
        gateway = await self._programs.gateway(self._access)
        await self._until_ready(self._component(gateway, self._look_at_slots))
        await self._until_served()
        if self._slots:
            self._background(self._slots.run())
        if self.settings.autoscaler.enabled:
            await self._until_ready(self._component(self._programs.autoscaler()))
        self._state = "ready"
        text = f"everything is ready {time.time() - self.started_at:.1f} s on"
        self.event_log.record("ready", text, component=NODE)

    async def stop(self) -> None:
        """Stop everything so that no request and no event is lost; takes `stop_seconds` at most.

        The autoscaler first, so that nobody resizes, and the watcher; then the gateway, which answers what
        it has taken while replicas are still there; then the replicas; and when no one writes events any
        more, the collector, which delivers the last of them.
        """
        if self._state == "stopping":
            return
        if self._state == "starting":
            for keeper in self._keepers():
                keeper.hold()
        self._state = "stopping"
        if self._components:
            self.event_log.record(
                "stop", "stops: requests are answered, events delivered", component=NODE
            )
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._deployment.stop()
        await asyncio.gather(self._stop("autoscaler"), self._stop("watch"))
        await self._stop("gateway")
        await self._pool.drain_all()
        self._access.close()
        self.event_log.close()
        await asyncio.gather(self._stop("collector"), self._stop("prometheus"))

    def kill(self) -> None:
        """Kill every program now, for a person who does not want to wait."""
        for keeper in self._keepers():
            keeper.kill()

    def _keepers(self) -> list[Keeper]:
        return [*self._components.values(), *self._pool.slots.values()]

    def status(self) -> StackStatus:
        """The stack now."""
        components = [program_status(keeper) for keeper in self._components.values()]
        if self._elasticsearch:
            components.append(self._elasticsearch.status())
        replicas = [
            program_status(keeper, self._versions.of(keeper))
            for _, keeper in sorted(self._pool.slots.items())
        ]
        ready = sum(one.state == "ready" for one in replicas)
        settings = self.settings
        problem = folder_problem(self._layout.data)
        return StackStatus(
            state=judge(components, replicas, settings.replicas.min, problem=problem)
            if self._state == "ready"
            else self._state,
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
            slots=self._slots.desired if self._slots else settings.slots.per_replica,
            own_slots=settings.slots.per_replica,
            replicas=replicas,
            recent=list(self.event_log.recent),
            rollout=self._deployment.rollout.status if self._deployment.rollout else None,
            pause=pause_status(settings),
            problem=problem,
        )

    def _slots_pool(self, fetch: Fetch) -> SlotsPool:
        settings = self.settings
        return SlotsPool(
            own=settings.slots.per_replica,
            file=SlotsFile(self._layout.slots, settings.slots.effective_max),
            gateway=GatewayAdmin(self._layout.gateway / ADMIN_SOCKET),
            configure=self._programs.gateway_config,
            occupied=lambda: self._pool.slots,
            shown=slots_shown(fetch, lambda number: replica_address(settings, number)),
            event_log=self.event_log,
        )

    def _look_at_slots(self) -> None:
        if self._slots:
            self._slots.look()

    def _replicas_changed(self) -> None:
        self._write_targets()
        self._look_at_slots()

    def _keeper(self, program: Program, changed: Any = lambda: None) -> Keeper:
        return Keeper(program, self.event_log, self._probe, changed)

    def _component(self, program: Program, changed: Callable[[], None] = lambda: None) -> Keeper:
        keeper = self._components[program.name] = self._keeper(program, changed)
        keeper.begin()
        return keeper

    def _watching(self) -> list[Keeper]:
        wanted = self.settings.drift.watch
        return [self._component(self._programs.watch())] if wanted else []

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
            self.event_log.record(
                "targets",
                f"Prometheus' list of replicas is not written: {error}",
                level="error",
                component=NODE,
            )

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY_SECONDS)
            for output in self._layout.run.glob("*.log"):
                bound_output(output)


async def _named(keeper: Keeper) -> tuple[str, str]:
    return keeper.program.name, await keeper.first_ready()
