"""What must hold in every world: after each step, at each event, and at the end when the faults are over."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import orjson

from tidegate.autoscaler.types import Bounds
from tidegate.events.event import encode
from tidegate.lab.replay.replay import replay
from tidegate.stack.replicas.replica_pool import ReplicaPool
from tidegate.stack.rollout.rolling_replacement import Rollout

from .autoscaler import configured, override
from .local_stack import LocalStack
from .network import PrometheusServer
from .programs import Replica, Running
from .world import World

# A call to the gateway's runtime API may take two seconds; it is repeated after one.
API_RECOVERS: Final = 4.5
# docs/explanation/resizer.md: four times the maximum at once, twice the maximum a minute, at least six.
BURST: Final = 4
LEAST_PER_MINUTE: Final = 6
# A decision may reach a resizer that was stopped for as long.
DECISION_SECONDS: Final = 60.0
# Of the replays, each change and one in four others: a replay takes as long as its decision.
REPLAYED: Final = 4


class DecisionChecks:
    """What holds for each decision, wherever replicas run."""

    def __init__(self, this: World, prometheus: PrometheusServer) -> None:
        self.world, self._prometheus = this, prometheus
        this.on_event.append(self._written)
        self.decided: dict[str, deque[tuple[float, int]]] = {}
        self.last: dict[str, tuple[float, int, str]] = {}
        self._count = 0

    def _written(self, process: str, event: Mapping[str, Any]) -> None:
        """Check an event; the decisions are the autoscalers'."""
        action = event["event"]["action"]
        if action == "fault":
            self.world.fail("no unexpected error", f"{process}: {event['message']}")
        if event["data_stream"]["dataset"] != "tidegate.decision":
            self.world.say(f"{process}: {action}: {event['message']}")
            return
        decision, now = event["tidegate"]["decision"], self.world.now
        desired, previous = decision["desired"], decision["previous"]
        signals, inputs = decision["signals"], decision["inputs"]
        self.world.say(f"{process}: decides {desired}, from {previous} ({decision['reason']})")
        self.decided.setdefault(process, deque(maxlen=200)).append((now, desired))
        self.last[process] = (now, desired, decision["reason"])
        setup = self.world.setup
        if not setup.min <= desired <= setup.max:
            self.world.fail("within the bounds", f"{process} decided {desired} replicas")
        told_all = self._prometheus.told_all.get(process, False)
        if desired < previous and not (told_all or "control" in inputs):
            self.world.fail(
                "a lost metric removes nothing", f"{process} removed {previous - desired} replicas"
            )
        if desired not in self._allowed(previous):
            self.world.fail("a pause holds the number", f"{process} decided {desired}")
        if desired < previous and signals["between"]:
            self.world.fail("between ticks nothing is removed", f"{process} decided {desired}")
        self._count += 1
        if decision["changed"] or self._count % REPLAYED == 0:
            self._replay(process, event)

    def _allowed(self, previous: int) -> range:
        """What a person who has paused the autoscaler, or has set bounds, lets it decide."""
        setup, control = self.world.setup, override(self.world)
        bounds = Bounds(setup.min, setup.max)
        if control is None:
            return range(setup.min, setup.max + 1)
        low, high = (previous, previous) if control.holds else (control.min, control.max)
        return range(bounds.clamp(low or 0), bounds.clamp(high or 0) + 1)

    def _replay(self, process: str, event: Mapping[str, Any]) -> None:
        stored = orjson.loads(encode(event))
        decision, again = stored["tidegate"]["decision"], replay(stored)
        recorded = (decision["desired"], decision["reason"], stored["message"], decision["inputs"])
        replayed = (again.desired, again.reason, again.explanation, again.inputs)
        if _bytes(recorded) != _bytes(replayed):
            self.world.fail("decisions replay to the byte", f"{process}: {stored['message']}")

    def resized(self, sender: str, desired: int) -> None:
        """A request has reached a resizer."""
        if not sender.startswith("autoscaler"):
            return
        since = self.world.now - DECISION_SECONDS
        if not any(at >= since and one == desired for at, one in self.decided.get(sender, ())):
            self.world.fail("what takes effect is recorded", f"{sender} requested {desired}")

    def follows(self, desired: int) -> str:
        """Why the autoscaler does not follow the load yet; empty if it does."""
        if "autoscaler" not in self.last:
            return "the autoscaler has not decided"
        at, number, reason = self.last["autoscaler"]
        _, built = configured(self.world.setup)
        if self.world.now - at > 2 * built.tick_seconds + 1:
            return "the autoscaler decides no more"
        if reason == "no-signal":
            return "the autoscaler has no signals"
        return "" if number == desired else f"the autoscaler wants {number}, the resizer {desired}"


def _bytes(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


class Removals:
    """The limit on removals, counted by the world's own clock."""

    def __init__(self, this: World) -> None:
        self.world = this
        self.restart()

    def restart(self) -> None:
        """A resizer that was started again has the whole burst."""
        self._tokens, self._at = float(BURST * self.world.setup.max), self.world.now
        self.number: int | None = None

    def observe(self, number: int) -> None:
        """The number in force now."""
        if self.number is not None and number < self.number:
            most, now = self.world.setup.max, self.world.now
            gained = (now - self._at) * max(LEAST_PER_MINUTE, 2 * most) / 60
            self._tokens = min(BURST * most, self._tokens + gained) - (self.number - number)
            self._at = now
            if self._tokens < -1e-6:
                self.world.fail("removals keep the limit", f"{self.number} → {number} replicas")
        self.number = number


class LocalChecks:
    """What holds for a local stack."""

    def __init__(self, stack: LocalStack, decisions: DecisionChecks) -> None:
        self.world, self._stack, self._decisions = stack.world, stack, decisions
        self._removals = Removals(stack.world)
        self._pool: ReplicaPool | None = None
        self._drains: dict[str, float] = {}
        self._judged: Rollout | None = None
        self._whole: tuple[ReplicaPool, int] | None = None
        self.world.checks.append(self._step)
        self.world.on_end.append(self._ends)
        self.world.on_event.append(self._written)
        self.world.gateway.on_send.append(self._receives)
        stack.resizer.on_resize.append(decisions.resized)

    def _written(self, process: str, event: Mapping[str, Any]) -> None:
        """Note when a drain begins."""
        del process
        if event["event"]["action"] == "drain":
            self._drains[event["tidegate"]["component"]] = self.world.now

    def _step(self) -> None:
        stack, setup = self._stack, self.world.setup
        if not hasattr(stack, "pool") or stack.process is None or stack.process.dead:
            return
        pool = stack.pool
        if pool is not self._pool:
            self._pool = pool
            self._removals.restart()
        if pool.desired != self._removals.number:
            self._removals.observe(pool.desired)
            # Those that a resize has just asked for are not lost by a rollout.
            self._whole = None
            if not setup.min <= pool.desired <= setup.max:
                self.world.fail("within the bounds", f"{pool.desired} replicas are in force")
        active = len(pool.processes) - len(pool._drains)
        if active > setup.max + 1:
            self.world.fail("within the bounds", f"{active} replicas run")
        rollout = stack.rollouts.rollout
        if stack.rollouts.busy:
            self._check_capacity(pool)
        if rollout is not None and rollout is not self._judged and rollout.state != "rolling":
            self._judged = rollout
            self._judge(rollout)

    def _check_capacity(self, pool: ReplicaPool) -> None:
        """Once all are ready, a rollout leaves as many."""
        ready = sum(
            process.state == "ready" and index not in pool._drains
            for index, process in pool.processes.items()
        )
        whole = (pool, pool.desired)
        faults = ("replica", "start", "port", "supervisor")
        if ready >= pool.desired:
            self._whole = whole
        elif any(self.world.has_had(part, 30) for part in faults):
            self._whole = None
        elif self._whole == whole:
            self.world.fail("a rollout takes no capacity", f"{ready} of {pool.desired} are ready")

    def _judge(self, rollout: Rollout) -> None:
        self.world.say(f"rollout: {rollout.state} {rollout.problem}")
        if rollout.state != "done" and not rollout.problem:
            self.world.fail("a rollout ends with one version", f"{rollout.state} without a reason")
        if rollout.state == "failed":
            return
        pool, version = self._stack.pool, self.world.version
        for index, process in sorted(pool.processes.items()):
            if index in pool._drains:
                continue
            child = process._child
            running = getattr(child, "running", None)
            if not isinstance(running, Replica) or running.process.dead:
                continue
            wrong = pool._releases[index] != pool.release
            if self.world.setup.own_code:
                wrong |= rollout.state == "done" and running.version != version
            else:
                release = rollout.release if rollout.state == "done" else rollout.before
                wrong |= str(running.version) != release.version
            if wrong:
                self.world.fail(
                    "a rollout ends with one version",
                    f"{rollout.state}, but replica {index} serves version {running.version}",
                )

    def _receives(self, index: int, replica: Replica) -> None:
        if replica.was_ready and not replica.draining and not replica.foreign:
            return
        faults = ("socket", "gateway", "supervisor")
        if any(self.world.has_had(part, API_RECOVERS) for part in faults):
            return
        if replica.foreign:
            # A program that is younger than the replica may be what the replica has started.
            own = self._stack.pool.processes.get(index)
            if own is not None and own.pid is not None and replica.process.pid > own.pid:
                return
            self.world.fail("requests reach own replicas", f"another program at {index} got one")
        elif not replica.was_ready:
            self.world.fail("no request before ready", f"replica {index} got one")
        elif replica.draining:
            self.world.fail("no request after the drain began", f"replica {index} got one")

    def _ends(self, running: Running) -> None:
        if not isinstance(running, Replica) or running.foreign:
            return
        if not running.in_flight or not running.spared:
            return
        began = self._drains.get(f"replica-{running.index}", -1e9)
        if began < running.started_at:
            # Not by a drain: a replica that hung is replaced.
            limit = self.world.setup.start_limit + 5
            cut = not self.world.has_had("replica", limit, running.index)
        else:
            cut = self.world.now - began < self.world.setup.drain_seconds - 0.6
        if cut:
            self.world.fail(
                "no request is cut by a drain", f"replica {running.index} had {running.in_flight}"
            )

    def unsettled(self) -> str:
        """Why the stack is not as it should be without faults; empty if it is."""
        stack = self._stack
        if stack.process is None or stack.process.dead or not hasattr(stack, "gateway"):
            return "no supervisor runs"
        pool = stack.pool
        problems = {
            f"the gateway is {stack.gateway.state}": stack.gateway.state != "ready",
            "the gateway does not run": not self.world.gateway.runs,
            "a rollout is in progress": stack.rollouts.busy,
            f"{len(pool.processes)} replicas run, {pool.desired} are desired": (
                len(pool.processes) != pool.desired
            ),
        }
        found = next((text for text, true in problems.items() if true), "")
        return found or self._servers_problem() or self._decisions.follows(pool.desired)

    def _servers_problem(self) -> str:
        for index, server in self.world.gateway.servers.items():
            process = self._stack.pool.processes.get(index)
            if process is None and server.enabled:
                return f"server {index} has no replica and is enabled"
            if process and not (process.state == "ready" and server.enabled and server.up):
                return f"replica {index} is {process.state}, enabled: {server.enabled}, up: {server.up}"
        return ""
