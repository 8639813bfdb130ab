"""What the faults do to the processes of the world; other kinds are asked for where they matter."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from tidegate.resizer.contract import ResizeLimitedError, ResizerUnavailableError
from tidegate.stack.replicas.release import Release, ReleaseRefusedError
from tidegate.stack.rollout.rollout_controller import RolloutController

from .cluster import RESIZER_PORT
from .cluster_stack import ClusterStack
from .local_stack import LocalStack
from .network import ResizerServer, client
from .programs import AUTOSCALER_PORT, FIRST_PORT, GATEWAY_PORT, ForeignProgram, Running
from .schedule import Fault
from .world import World, world

PORTS: Final = {
    "gateway": GATEWAY_PORT,
    "autoscaler": AUTOSCALER_PORT,
    "resizer-process": RESIZER_PORT,
}


class Stack(Protocol):
    """What the faults of every stack need."""

    world: World
    resizer: ResizerServer

    def new_autoscaler(self, name: str) -> Running:
        """Start an autoscaler's process."""
        ...


class Faults:
    """Begins and ends the faults that every stack has."""

    def __init__(self, stack: Stack) -> None:
        self.world, self._any_stack = stack.world, stack
        self.started: dict[Fault, Running] = {}
        self._stopped: dict[Fault, Running] = {}

    def begin(self, fault: Fault) -> None:
        """The fault begins."""
        self.world.begin(fault)
        target = self._target(fault)
        if fault.kind == "crash" and target:
            target.spared = False
            target.exit(-9)
        elif fault.kind == "stop" and target:
            self._stopped[fault] = target
            target.process.stop()
        elif (fault.part, fault.kind) == ("autoscaler", "second"):
            self.started[fault] = self._any_stack.new_autoscaler("autoscaler of another")
        elif fault.part == "client":
            self.world.process("client").spawn(self._restless(fault))

    def end(self, fault: Fault) -> None:
        """The fault ends."""
        self.world.end(fault)
        if stopped := self._stopped.pop(fault, None):
            stopped.process.resume()
            if fault.part == "gateway":
                self.world.gateway.resumed()
        if started := self.started.pop(fault, None):
            started.exit(0)

    def _target(self, fault: Fault) -> Running | None:
        port = PORTS.get(fault.part, 0)
        if fault.part in {"replica", "pod"}:
            port = FIRST_PORT + fault.number - 1
        found = self.world.listeners.get(port)
        return None if found is None or isinstance(found, ForeignProgram) else found

    async def _restless(self, fault: Fault) -> None:
        """A client that alternates between the bounds."""
        setup, resizer = self.world.setup, client(self._any_stack.resizer, 2.0)
        end = self.world.now + fault.seconds
        while self.world.now < end:
            for number in (setup.max, max(setup.min, 1)):
                try:
                    await resizer.resize(number)
                except (ResizeLimitedError, ResizerUnavailableError):
                    await asyncio.sleep(0.2)
            await asyncio.sleep(0.05)


class LocalFaults(Faults):
    """Those of a local stack, too."""

    def __init__(self, stack: LocalStack) -> None:
        super().__init__(stack)
        self._stack = stack

    def begin(self, fault: Fault) -> None:
        """The fault begins."""
        super().begin(fault)
        process = self._stack.process
        if fault.part == "port" and (foreign := self._stack.occupy(fault)):
            self.started[fault] = foreign
        elif (fault.part, fault.kind) == ("supervisor", "crash"):
            self._stack.die()
        elif (fault.part, fault.kind) == ("supervisor", "stop") and process:
            process.stop()
        elif (fault.part, fault.kind) == ("supervisor", "second"):
            self._start_second(fault)
        elif fault.part == "deploy" and process and not process.dead:
            process.spawn(self._deploy(fault))

    def end(self, fault: Fault) -> None:
        """The fault ends."""
        super().end(fault)
        if fault.part == "supervisor" and self._stack.process:
            self._stack.process.resume()
        if fault.part == "deploy":
            # Somebody corrects the code on the disk.
            self.world.good_starts = 1_000

    def _start_second(self, fault: Fault) -> None:
        """Somebody else starts a stack in the same folder, and tries again."""
        if self.world.kind("supervisor") == "second":
            self._stack.boot("supervisor of another", again=False)
            self.world.later(0.6, lambda: self._start_second(fault))

    async def _deploy(self, fault: Fault) -> None:
        rollouts = self._stack.rollouts
        for _ in range(2 if fault.kind == "twice" else 1):
            if rollouts.busy:
                return
            self.world.version += 1
            self.world.good_starts = {"bad": 0, "later-bad": 1}.get(fault.kind, 1_000)
            try:
                await rollouts.deploy(None if self.world.setup.own_code else Path("new"))
            except ReleaseRefusedError as error:
                self.world.say(f"the deployment is refused: {error}")
            await _until_idle(rollouts)


async def _until_idle(rollouts: RolloutController) -> None:
    while rollouts.busy:  # noqa: ASYNC110 - it is the production code's task
        await asyncio.sleep(0.01)


async def admit(
    path: Path, copies: Path, current: Path, env: Mapping[str, str], cwd: Path
) -> Release:
    """In the place of the process that loads a model once."""
    del path, current, env, cwd
    this = world()
    await this.delay(0.5)
    number = str(this.version)
    return Release(path=copies / f"v{number}", name="flights", version=number, digest=number)


class ClusterFaults(Faults):
    """Those of a stack in Kubernetes, too."""

    def __init__(self, stack: ClusterStack) -> None:
        super().__init__(stack)
        self._stack = stack

    def begin(self, fault: Fault) -> None:
        """The fault begins."""
        super().begin(fault)
        cluster = self._stack.cluster
        if (fault.part, fault.kind) == ("resizer-process", "second"):
            self.started[fault] = self._stack.new_resizer(None)
        elif fault.kind == "scale":
            cluster.scale(fault.number, "")
        elif fault.kind in {"zero", "zero-restart"}:
            cluster.scale(0, "")
        if fault.kind == "zero-restart":
            # Half way the resizer that has recorded it is no more, and the next one has to find it.
            self.world.later(fault.seconds / 2, self._end_resizer)
        elif fault.kind == "hpa":
            self._scale_again(fault)

    def _end_resizer(self) -> None:
        self.world.say("the resizer's node ends")
        self._stack.resizing.exit(-9)

    def _scale_again(self, fault: Fault) -> None:
        if self.world.kind("other") == "hpa":
            self._stack.cluster.scale(fault.number, "")
            self.world.later(3.0, lambda: self._scale_again(fault))

    def end(self, fault: Fault) -> None:
        """The fault ends."""
        super().end(fault)
        if fault.kind in {"zero", "zero-restart"}:
            self._stack.cluster.scale(1, "")
