"""The supervisor of local mode: pool, rollouts, resizer and process supervision over the world's programs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tidegate.resizer.rate_limit import RateLimitedResizer
from tidegate.runtime.backoff import Backoff
from tidegate.runtime.event_log import EventLog
from tidegate.runtime.keep_running import keep_running
from tidegate.stack.data_folder import Layout, StackRunningError
from tidegate.stack.gateway.runtime_api import RuntimeApi
from tidegate.stack.processes.process import Command
from tidegate.stack.processes.process_supervisor import ProcessSupervisor, Program
from tidegate.stack.replicas.local_resizer import LocalResizer
from tidegate.stack.replicas.release import Release
from tidegate.stack.replicas.replica_pool import ReplicaPool
from tidegate.stack.rollout.rollout_controller import RolloutController

from . import programs
from .autoscaler import AutoscalerProgram, configured, event_log
from .event_loop import OsProcess
from .network import PrometheusServer, ResizerServer
from .programs import AUTOSCALER_PORT, FIRST_PORT, GATEWAY_PORT, ForeignProgram, Replica, probe
from .schedule import Fault
from .world import SimulatedTime, World

# As `tidegate up` has it for programs that are no replicas.
START_SECONDS = 30.0


class LocalStack:
    """A supervisor, which a machine starts again when it was killed."""

    def __init__(
        self,
        this: World,
        prometheus: PrometheusServer,
        resizer: ResizerServer,
    ) -> None:
        self.world, self._prometheus, self.resizer = this, prometheus, resizer
        self.process: OsProcess | None = None
        self.pool: ReplicaPool
        self.rollouts: RolloutController
        self.gateway: ProcessSupervisor
        self.children: list[programs.Running] = []
        self.on_child: list[Callable[[programs.Running], None]] = []
        programs.START.update(
            replica=self._start_replica,
            gateway=self._start_gateway,
            autoscaler=self._start_autoscaler,
        )

    def boot(self, name: str = "supervisor", *, again: bool = True) -> None:
        """Start a supervisor; one that is refused is started `again`, as by a service manager."""
        process = self.world.process(name)
        process.spawn(self._lead(process, again=again))

    async def _lead(self, process: OsProcess, *, again: bool) -> None:
        """Run the stack if no other supervisor does."""
        try:
            with Layout(Path("data")).locked():
                if self.process and not self.process.dead:
                    self.world.fail(
                        "never two leaders", f"{self.process.name} runs, and {process.name}"
                    )
                self.process = self.resizer.process = process
                await self._run()
        except StackRunningError as error:
            self.world.say(f"{process.name}: {error}")
            if again:
                self.world.later(1.0, self.boot)

    def die(self) -> None:
        """Kill the supervisor; the kernel kills its children."""
        if self.process is None or self.process.dead:
            return
        self.world.say("supervisor is killed")
        self.process.kill()
        for child in self.children:
            child.spared = False
            child.exit(-9)
        self.children.clear()
        self.world.later(1.0, self.boot)

    async def _run(self) -> None:
        """As `tidegate.stack.supervisor.supervisor` puts it together."""
        setup = self.world.setup
        settings, _ = configured(setup)
        log = event_log("stack")
        # A stack starts with the model of its settings, whatever was deployed before.
        release = (
            Release(path=Path("app"), name="shop.main:app")
            if setup.own_code
            else Release(path=Path("v1"), name="flights", version="1", digest="1")
        )
        self.pool = ReplicaPool(
            create=lambda index, release: self._supervise(self._replica(index, release), log),
            event_log=log,
            gateway=RuntimeApi(Path("admin.sock")),
            max_replicas=setup.max,
            desired=setup.start,
            release=release,
            at_once=2,  # whatever the machine has
        )
        self.rollouts = RolloutController(
            self.pool, log, Path("copies"), {}, Path(), own_program=setup.own_code
        )
        resizer = LocalResizer(self.pool, settings.replicas)
        self.resizer.resizer = RateLimitedResizer(resizer, setup.max, SimulatedTime.monotonic)
        first = self.pool.start()
        self.gateway = self._supervise(self._program("gateway", GATEWAY_PORT), log, self.pool.wake)
        autoscaler = self._supervise(self._program("autoscaler", AUTOSCALER_PORT), log)
        if first:
            await asyncio.wait(
                [asyncio.ensure_future(one.first_ready()) for one in first], timeout=20
            )
        replicas = asyncio.create_task(keep_running("replicas", self.pool.run, log.fault))
        self.gateway.start()
        await self.gateway.first_ready()
        autoscaler.start()
        await replicas

    def _supervise(
        self, program: Program, log: EventLog, on_change: Callable[[], None] = lambda: None
    ) -> ProcessSupervisor:
        backoff = Backoff(random=self.world.random.random)
        return ProcessSupervisor(program, log, probe, on_change, backoff, SimulatedTime.monotonic)

    def _replica(self, index: int, release: Release) -> Program:
        setup = self.world.setup
        version = release.version
        return self._program(
            "replica",
            FIRST_PORT + index - 1,
            str(index),
            version,
            name=f"replica-{index}",
            start_seconds=setup.start_limit,
            stop_seconds=setup.drain_seconds,
            answers_first=setup.answers_first,
        )

    def _program(
        self, kind: str, port: int, *arguments: str, name: str = "", **how: Any
    ) -> Program:
        address = f"http://127.0.0.1:{port}"
        limits = {"start_seconds": START_SECONDS, "stop_seconds": 5.0, **how}
        command = Command((kind, *arguments), {}, Path())
        return Program(name or kind, command, Path("log"), f"{address}/ready", address, **limits)

    def _start_replica(self, index: str, version: str) -> programs.Running:
        this = self.world
        # Code is that on the disk now, whatever the release is called.
        number = this.version if this.setup.own_code else int(version or 1)
        bad = False
        if number == this.version and number > 1:
            this.good_starts -= 1
            bad = this.good_starts < 0
        return self._child(Replica(this, int(index), number, _nothing, bad=bad))

    def _start_gateway(self) -> programs.Running:
        return self._child(programs.GatewayProgram(self.world, _nothing))

    def _start_autoscaler(self) -> programs.Running:
        return self._child(self.new_autoscaler("autoscaler"))

    def new_autoscaler(self, name: str) -> AutoscalerProgram:
        """Start an autoscaler's process."""
        return AutoscalerProgram(self.world, self._prometheus, self.resizer, name, _nothing)

    def _child(self, child: programs.Running) -> programs.Running:
        self.children = [one for one in self.children if not one.process.dead]
        self.children.append(child)
        self.world.say(f"{child.process.name} starts as process {child.process.pid}")
        for check in self.on_child:
            check(child)
        return child

    def occupy(self, fault: Fault) -> ForeignProgram | None:
        """Another program listens at the port of a replica, if it is free."""
        foreign = ForeignProgram(self.world, fault.number)
        return (
            foreign if self.world.listeners.setdefault(foreign.port, foreign) is foreign else None
        )


def _nothing(code: int) -> None:
    del code
