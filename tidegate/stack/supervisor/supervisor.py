"""The supervisor: starts the programs in order, restarts them, and stops them without loss."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from aiohttp import web

from tidegate.resizer.rate_limit import RateLimitedResizer
from tidegate.resizer.server import make_app
from tidegate.runtime.event_log import EventLog
from tidegate.runtime.http_probe import Fetch, Probe
from tidegate.runtime.http_server import Handler
from tidegate.runtime.keep_running import keep_running
from tidegate.runtime.slots_file import SlotsFile
from tidegate.service.model.artefact import ArtefactError
from tidegate.settings import Settings
from tidegate.stack import prometheus
from tidegate.stack.data_folder import Layout
from tidegate.stack.disk import folder_problem
from tidegate.stack.gateway.configuration import ADMIN_SOCKET
from tidegate.stack.gateway.runtime_api import RuntimeApi, RuntimeApiError
from tidegate.stack.processes.environment import environment
from tidegate.stack.processes.process import truncate_output, truncate_outputs
from tidegate.stack.processes.process_supervisor import (
    STARTING_POLL_SECONDS,
    ProcessSupervisor,
    Program,
)
from tidegate.stack.replicas.addresses import metrics_targets, replica_address
from tidegate.stack.replicas.local_resizer import LocalResizer
from tidegate.stack.replicas.release import first_release, unread_release
from tidegate.stack.replicas.replica_pool import ReplicaPool
from tidegate.stack.replicas.replica_slots import SlotsController, slots_from_metrics
from tidegate.stack.replicas.served_versions import ServedVersions
from tidegate.stack.rollout.rollout_controller import RolloutController
from tidegate.stack.rollout.source_monitor import SourceMonitor
from tidegate.stack.supervisor import prometheus_monitor, takeover
from tidegate.stack.supervisor.processors import ProcessorMonitor
from tidegate.stack.supervisor.programs import (
    START_SECONDS,
    Programs,
    console_problem,
    console_url,
    url,
)
from tidegate.stack.supervisor.prometheus_monitor import PrometheusMonitor
from tidegate.stack.supervisor.status import StackState, StackStatus, program_status, stack_status
from tidegate.stack.supervisor.takeover import Handover, Predecessor
from tidegate.store.embedded.repair import problem as store_damage
from tidegate.store.kinds import store_folder

NODE: Final = "stack"
# How long the others, which are ready, wait for the console.
CONSOLE_SECONDS: Final = 10.0
# Programs that two stacks cannot have at once; Supervisor._owner is whether this one has them.
OBSERVERS: Final = ("autoscaler", "watch", "console")
RECORDERS: Final = ("collector", "prometheus")
NOT_OWNER: Final = (
    "another stack takes over, so nothing changes in this one: try again when it is ready"
)


class StartError(RuntimeError):
    """The stack cannot start. The text has at least one line for each reason."""


class Supervisor:
    """The programs of one stack. Created by `running_stack`."""

    def __init__(
        self,
        settings: Settings,
        layout: Layout,
        event_log: EventLog,
        probe: Probe,
        fetch: Fetch,
        *,
        take_folder: Callable[[], Awaitable[None]],
        predecessor: Predecessor | None = None,
    ) -> None:
        self.settings = settings
        self.event_log = event_log
        self.started_at = time.time()
        self._layout = layout
        self._probe = probe
        self._state: StackState = "starting"
        self._components: dict[str, ProcessSupervisor] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._prometheus: PrometheusMonitor | None = None
        self._processors = ProcessorMonitor(event_log)
        self._fetch = fetch
        self._take_folder, self._predecessor = take_folder, predecessor
        self.to_stop = asyncio.Event()
        self._handover = Handover(self.status, self._pause, self._resume, self._finish)
        self._owner = predecessor is None
        env = environment(settings, os.environ, layout.run / "settings.toml")
        self._gateway = RuntimeApi(layout.gateway / ADMIN_SOCKET)
        self._programs = Programs(settings, layout, env, Path.cwd())
        self._pool = ReplicaPool(
            create=lambda index, release: self._supervise(
                self._programs.replica(index, release), self._replicas_changed
            ),
            event_log=event_log,
            gateway=self._gateway,
            max_replicas=settings.replicas.max,
            desired=settings.replicas.start,
            release=unread_release(settings),
        )
        self._slots = self._slots_controller(fetch) if settings.slots.max is not None else None
        bounds = settings.replicas
        local = LocalResizer(self._pool, bounds, self._slots)
        self._resizer = RateLimitedResizer(local, bounds.max, time.monotonic)
        self._served_versions = ServedVersions(fetch)
        self._source = SourceMonitor(lambda: self._pool.release, event_log)
        own = bool(settings.replica_program)
        self._rollouts = RolloutController(
            self._pool, event_log, layout.models, env, Path.cwd(), own_program=own
        )

    def control(self) -> web.Application:
        """The routes of the control socket: those of the resizer, `GET /status` and `PUT /model`."""

        async def get_status(request: web.Request) -> web.Response:
            del request
            text = (await self.status_with_versions()).model_dump_json()
            return web.Response(text=text, content_type="application/json")

        @web.middleware
        async def owner_only(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.method == "PUT" and not self._owner:
                raise web.HTTPConflict(reason=NOT_OWNER)
            return await handler(request)

        app = make_app(self._resizer)
        app.middlewares.append(owner_only)
        app.router.add_get("/status", get_status)
        app.router.add_get(takeover.PATH, self._handover.serve)
        self._rollouts.add_routes(app)
        return app

    async def start(self) -> None:
        """Start all programs; returns when they are ready.

        Raises:
            StartError: a program did not become ready.
        """
        for output in self._layout.run.glob("*.log"):
            if output != self._layout.output("supervisor"):
                truncate_output(output, 0)  # so that after a failure it contains only this start
        self.event_log.record("start", f"starting in {self._layout.data}", component=NODE)
        self._background("outputs", lambda: truncate_outputs(self._layout.run))
        self._background("processors", self._processors.run)
        if self._slots:
            self._slots.write_initial()
        # First what a request needs, as each start takes a second or two of CPU; the gateway needs replicas.
        predecessor = self._predecessor
        first = [] if predecessor else [self._start_component(self._programs.collector())]
        if not self.settings.replica_program:
            try:
                used = [one] if predecessor and (one := predecessor.status.release) else []
                models = self._layout.models
                release = await first_release(self.settings, models, self.event_log, *used)
            except ArtefactError as error:
                raise StartError(str(error)) from error
            self._pool.release = release
            self._background("source", self._source.run)
        if predecessor:
            self._pool.desired = predecessor.desired(self.settings.replicas)
            await self._until_ready(*self._pool.start())
            await predecessor.do("pause")
            self._owner = True
            self._pool.desired = predecessor.desired(self.settings.replicas)  # it scaled until now
            self._write_targets()
            first = [self._start_component(self._programs.collector())]
        first += self._pool.start()
        # Its first scrape is 5 s later. Not earlier: during a conversion it would find the gateway down.
        first.append(self._start_component(self._programs.prometheus()))
        await self._until_ready(*first)
        self._background("replicas", self._pool.run)
        await self._start_gateway()
        await self._until_served()
        if self._slots:
            self._background("slots", self._slots.run)
        await self._until_ready(*self._start_observers())
        await self._until_loaded()
        if console := self._components.get("console"):
            # The stack works without it: what is wrong with it is in the status.
            with suppress(TimeoutError):
                await asyncio.wait_for(console.first_ready(), CONSOLE_SECONDS)
        if predecessor:
            await predecessor.end()
            await self._take_folder()
        self._state = "ready"
        text = f"everything is ready after {time.time() - self.started_at:.1f} s"
        self.event_log.record("ready", text, component=NODE)

    async def stop(self) -> None:
        """Stop all programs without loss of a request or an event, within `stop_seconds`.

        First the autoscaler, so that nothing resizes, the monitor of drift and the console; then the gateway,
        which completes its requests while the replicas still run; then the replicas; last the collector,
        which delivers the remaining events.
        """
        if self._state == "stopping":
            return
        if self._state == "starting":
            for process in self._processes():
                process.disable_restarts()
        self._state = "stopping"
        if self._components:
            text = "stopping: finishing requests, delivering events"
            self.event_log.record("stop", text, component=NODE)
        await self._handover.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._rollouts.stop()
        await self._stop(*OBSERVERS)
        await self._stop("gateway")
        await self._pool.drain_all()
        self.event_log.close()
        await self._stop(*RECORDERS)

    async def _pause(self) -> None:
        text = "another stack takes over: it delivers events and scales from now on"
        self.event_log.record("stop", text, component=NODE)
        self._owner = False
        await self._stop(*OBSERVERS)
        await self._stop(*RECORDERS)

    async def _resume(self) -> None:
        if self._state != "ready":
            return
        text = "the other stack did not become ready: this one goes on"
        self.event_log.record("start", text, level="warn", component=NODE)
        self._owner = True
        self._start_component(self._programs.prometheus())
        self._start_component(self._programs.collector())
        self._start_observers()
        self._write_targets()

    async def _finish(self) -> None:
        text = "another stack has taken over: this one answers what it has, and ends"
        self.event_log.record("stop", text, component=NODE)
        with suppress(RuntimeApiError):  # it does not run, and has no connection
            await self._gateway.accept_no_more()
        await asyncio.sleep(takeover.IDLE_SECONDS)
        self.to_stop.set()

    def kill(self) -> None:
        """Kill every program now, without a graceful stop."""
        for process in self._processes():
            process.kill()

    def _processes(self) -> list[ProcessSupervisor]:
        return [*self._components.values(), *self._pool.processes.values()]

    async def status_with_versions(self) -> StackStatus:
        """The status of the stack now, after each replica was asked for its version."""
        await self._served_versions.refresh(self._pool.processes)
        return self.status()

    def status(self) -> StackStatus:
        """The status of the stack now, with the versions that replicas told last."""
        components = [
            self._prometheus.status_of(program_status(process))
            if self._prometheus and name == prometheus_monitor.NAME
            else program_status(process)
            for name, process in self._components.items()
        ]
        replicas = [
            program_status(process, self._served_versions.of(process))
            for _, process in sorted(self._pool.processes.items())
        ]
        settings = self.settings
        problem = folder_problem(self._layout.data)
        if not problem and (folder := store_folder(settings)):
            problem = store_damage(folder, content=False)
        return stack_status(
            settings,
            components,
            replicas,
            state=None if self._state == "ready" else self._state,
            problem=problem,
            pid=os.getpid(),
            started_at=self.started_at,
            data_dir=str(self._layout.data),
            gateway_folder=self._layout.gateway_name,
            program=settings.replica_program,
            gateway=url(settings.stack.host, settings.gateway.port),
            prometheus=url(settings.stack.host, settings.prometheus.port),
            console=console_url(settings),
            desired=self._pool.desired,
            slots=self._slots.desired if self._slots else settings.slots.per_replica,
            recent=list(self.event_log.recent),
            rollout=self._rollouts.rollout.status if self._rollouts.rollout else None,
            alerts=self._prometheus.alerts if self._prometheus else [],
            faults=self.event_log.faults,
            machine=self._processors.problem,
            source=self._source.problem,
            release=self._pool.release,
        )

    def _slots_controller(self, fetch: Fetch) -> SlotsController:
        settings = self.settings
        return SlotsController(
            initial=settings.slots.per_replica,
            file=SlotsFile(self._layout.slots, settings.slots.effective_max),
            gateway=self._gateway,
            write_config=self._programs.gateway_config,
            replicas=lambda: self._pool.processes,
            reported=slots_from_metrics(fetch, lambda index: replica_address(settings, index)),
            event_log=self.event_log,
        )

    def _gateway_changed(self) -> None:
        self._pool.wake()
        if self._slots:
            self._slots.wake()

    def _replicas_changed(self) -> None:
        if self._owner:
            self._write_targets()
        if self._slots:
            self._slots.wake()

    def _supervise(
        self, program: Program, on_change: Callable[[], None] = lambda: None
    ) -> ProcessSupervisor:
        return ProcessSupervisor(program, self.event_log, self._probe, on_change)

    def _start_component(
        self, program: Program, on_change: Callable[[], None] = lambda: None
    ) -> ProcessSupervisor:
        process = self._components[program.name] = self._supervise(program, on_change)
        process.start()
        return process

    async def _start_gateway(self) -> None:
        program, predecessor = await self._programs.gateway(), self._predecessor
        taking_over = predecessor.taking_over(program) if predecessor else program
        gateway = self._start_component(taking_over, self._gateway_changed)
        if predecessor and await gateway.first_ready() and not predecessor.holds():
            await gateway.stop()  # there was nothing to take over: it has been killed just before
            gateway = self._start_component(program, self._gateway_changed)
        await self._until_ready(gateway)
        if predecessor:
            gateway.program = program  # should it start again

    def _start_observers(self) -> list[ProcessSupervisor]:
        """Start the autoscaler, the monitor of drift and the console; only the last is not waited for."""
        programs, settings = self._programs, self.settings
        pairs = (
            (settings.autoscaler.enabled, programs.autoscaler),
            (settings.drift.watch, programs.watch),
        )
        observers = [self._start_component(program()) for enabled, program in pairs if enabled]
        if not (problem := console_problem(settings)):
            self._start_component(programs.console())
        elif settings.console.enabled:
            text = f"the stack runs without the console: {problem}"
            self.event_log.record("start", text, level="warn", component="console")
        return observers

    async def _until_ready(self, *processes: ProcessSupervisor) -> None:
        for result in asyncio.as_completed([_first_ready(process) for process in processes]):
            name, problem = await result
            if problem:
                output = self._layout.output(name)
                raise StartError(f"{name} did not become ready: {problem}\n(see {output})")

    async def _until_served(self) -> None:
        """Wait until the gateway's own health checks find a replica ready."""
        gateway = url(self.settings.stack.host, self.settings.gateway.port)
        ready_url = f"{gateway}{self.settings.replicas.ready_path}"
        deadline = time.monotonic() + START_SECONDS
        while problem := await self._probe(ready_url):
            if time.monotonic() > deadline:
                raise StartError(f"the gateway reaches no replica: {problem}")
            await asyncio.sleep(STARTING_POLL_SECONDS)

    async def _until_loaded(self) -> None:
        """Wait until Prometheus has all rules and targets, then monitor it."""
        self._prometheus = PrometheusMonitor(
            url=url(self.settings.stack.host, self.settings.prometheus.port),
            should=prometheus_monitor.expected(self._layout.prometheus),
            replicas=lambda: len(self._pool.processes),
            fetch=self._fetch,
            event_log=self.event_log,
        )
        if problem := await self._prometheus.first_problem(START_SECONDS):
            output = self._layout.output(prometheus_monitor.NAME)
            raise StartError(f"{problem}, so nothing would scale and no alert fire\n(see {output})")
        self._background(prometheus_monitor.NAME, self._prometheus.run)

    async def _stop(self, *names: str) -> None:
        found = [self._components[name] for name in names if name in self._components]
        await asyncio.gather(*(process.stop() for process in found))

    def _background(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        self._tasks.append(asyncio.create_task(keep_running(name, run, self.event_log.fault)))

    def _write_targets(self) -> None:
        targets = metrics_targets(self.settings, self._pool.processes)
        try:
            prometheus.write_targets(self._layout.prometheus, targets)
        except OSError as error:
            # A full disk must not stop the supervision of a replica; the next change writes the file again.
            text = f"cannot write Prometheus' list of replicas: {error}"
            self.event_log.record("targets", text, level="error", component=NODE)


async def _first_ready(process: ProcessSupervisor) -> tuple[str, str]:
    return process.program.name, await process.first_ready()
