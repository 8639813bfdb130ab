"""Scale to zero: around any policy, which decides as long as there is a replica.

The last replica leaves when nothing has come for a while; requests then wait in the gateway, which
says how many do, and the first one brings a replica back. Replicas tell nothing while there is none,
so what one was seen to take is remembered, and the policy inside can say how many a burst takes.

Three rules hold whatever happens:

- Bad data never takes the last replica away.
- At zero, not to know whether requests wait brings one back.
- While replicas start after that, none is taken away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tidegate.autoscaler.sloq.signal_checks import possible
from tidegate.autoscaler.types import Bounds, Decision, Policy, Signals, change_words


@dataclass(frozen=True, slots=True)
class ZeroParameters:
    """What it is told.

    Attributes:
        max: never more replicas.
        idle_seconds: the last replica leaves when nothing has come for this long.
        stale_seconds: older signals are not believed, and at zero not to know is borne this long.
    """

    max: int
    idle_seconds: float
    stale_seconds: float


class _Memory(BaseModel):
    """The state; times are on the clock of the ticks."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    now: float | None = None
    slots: int | None = Field(default=None, ge=1)
    idle_since: float | None = None
    blind_since: float | None = None
    waking: bool = False
    inner: dict[str, Any] = {}

    @classmethod
    def read(cls, state: dict[str, Any], now: float) -> _Memory:
        """What a state holds; of a clock that was set back, no time."""
        try:
            memory = cls.model_validate(state)
        except ValidationError:
            return cls()
        if memory.now is not None and now < memory.now:
            return memory.model_copy(update={"idle_since": None, "blind_since": None})
        return memory


def to_zero(policy: Policy, parameters: Mapping[str, Any], told: ZeroParameters) -> Policy:
    """The policy, which goes on from zero replicas to one and more, and back.

    Args:
        policy: what decides while there is a replica; its own minimum is 1 or more.
        parameters: of that policy; they are in the inputs also when it is not asked.
        told: when to go, and when to come back.
    """
    return _Zero(policy, dict(parameters), told).decide


@dataclass(frozen=True, slots=True)
class _Zero:
    policy: Policy
    parameters: dict[str, Any]
    told: ZeroParameters

    def decide(self, state: dict[str, Any], signals: Signals, now: float) -> Decision:
        """As every policy."""
        memory = _Memory.read(state, now)
        told_slots = signals.slots_per_replica
        if told_slots is not None and told_slots >= 1:
            memory = memory.model_copy(update={"slots": told_slots})
        memory = memory.model_copy(update={"now": now})
        if signals.desired <= 0:
            decision, memory = self._at_zero(memory, signals, now)
        else:
            decision, memory = self._above(memory, signals, now)
        return replace(
            decision,
            inputs={**decision.inputs, "zero": asdict(self.told)},
            state=memory.model_dump(mode="json", exclude_defaults=True),
        )

    def _at_zero(self, memory: _Memory, signals: Signals, now: float) -> tuple[Decision, _Memory]:
        held, queued = signals.desired, self._queued(signals)
        if queued is None:
            since = now if memory.blind_since is None else memory.blind_since
            why = f" ({signals.problem})" if signals.problem else ""
            if now - since < self.told.stale_seconds:
                said = f"whether requests wait is not known{why}"
                memory = memory.model_copy(update={"blind_since": since})
                return self._own((held, 0), "no-signal", said, None), memory
            said = f"whether requests wait has not been known for {now - since:.0f} s{why}"
            return self._own((held, 1), "up", said, None), _woken(memory)
        memory = memory.model_copy(update={"blind_since": None})
        if queued <= 0:
            return self._own((held, 0), "hold", "no request waits at the gateway", queued), memory
        requests = "1 request waits" if queued == 1 else f"{queued:g} requests wait"
        said = f"{requests} at the gateway"
        inner = self._ask(memory, signals, queued, now)
        if inner is None:
            return self._own((held, 1), "up", said, queued), _woken(memory)
        number = self._within(inner.desired)
        if number > 1:
            said = f"{said} ({inner.explanation})"
        decision = replace(
            inner,
            desired=number,
            reason="up",
            explanation=f"{change_words(held, number)}: {said}",
            inputs={**inner.inputs, "waiting": queued},
        )
        return decision, _woken(memory, inner.state)

    def _above(self, memory: _Memory, signals: Signals, now: float) -> tuple[Decision, _Memory]:
        waking = memory.waking and signals.ready <= 0
        held = signals.desired
        inner = self._ask(memory, signals, self._queued(signals), now) if waking else None
        if waking and inner is None:
            # Nothing can be known of a replica before the first one is ready.
            said = f"no replica is ready yet since {held} had to come back"
            decision = self._own((held, self._within(held)), "hold", said, self._queued(signals))
            return decision, memory.model_copy(update={"idle_since": None})
        inner = inner or self.policy(memory.inner, signals, now)
        idle = self._is_idle(signals)
        since = (now if memory.idle_since is None else memory.idle_since) if idle else None
        memory = memory.model_copy(
            update={"idle_since": since, "waking": waking, "inner": inner.state}
        )
        # In the minute after the last request the signals stand still, as frozen ones do: that time counts,
        # but nobody leaves before it is over.
        believed = inner.reason != "no-signal" and inner.desired <= held
        if believed and since is not None and now - since >= self.told.idle_seconds:
            said = f"{change_words(held, 0)}: nothing came for {self.told.idle_seconds:g} s"
            return replace(inner, desired=0, reason="down", explanation=said), memory
        least = self._within(held) if waking else 1
        if inner.desired >= least:
            return inner, memory
        said = f"{change_words(held, least)}: replicas are still starting; else {inner.explanation}"
        return replace(inner, desired=least, reason="stabilized", explanation=said), memory

    def _ask(
        self, memory: _Memory, signals: Signals, queued: float | None, now: float
    ) -> Decision | None:
        """The policy's decision on what is known while no replica is ready; None if that is too little.

        Nothing is busy, all that is in the system waits, and a replica has the slots that it last had.
        """
        if memory.slots is None or queued is None:
            return None
        seen = replace(
            signals,
            slots_per_replica=memory.slots,
            busy=0.0,
            queued=queued,
            in_system=queued,
            running=max(1, signals.running),
            age_seconds=_gateway_age(signals),
        )
        return self.policy(memory.inner, seen, now)

    def _queued(self, signals: Signals) -> float | None:
        """The requests that wait at the gateway; None if that is not known."""
        said = possible(signals.waiting)
        if said is not None:
            return said
        age = possible(_gateway_age(signals))
        return (
            possible(signals.queued) if age is not None and age <= self.told.stale_seconds else None
        )

    def _is_idle(self, signals: Signals) -> bool:
        """Whether it is known that nothing comes, and nothing is there."""
        age = possible(signals.age_seconds)
        return (
            age is not None
            and age <= self.told.stale_seconds
            and not signals.problem
            and possible(signals.arrival_rate_60s) is not None
            and signals.ready > 0
            and signals.slots_per_replica is not None
            and signals.arrival_rate == 0
            and signals.in_system == 0
            and signals.queued in {0, None}
        )

    def _within(self, number: int) -> int:
        return Bounds(1, max(1, self.told.max)).clamp(number)

    def _own(
        self, change_to: tuple[int, int], reason: str, said: str, queued: float | None
    ) -> Decision:
        """A decision that the policy inside was not asked for."""
        return Decision(
            desired=change_to[1],
            reason=reason,
            explanation=f"{change_words(*change_to)}: {said}",
            inputs={"parameters": self.parameters, "waiting": queued},
            state={},
        )


def _woken(memory: _Memory, inner: dict[str, Any] | None = None) -> _Memory:
    return memory.model_copy(
        update={
            "idle_since": None,
            "blind_since": None,
            "waking": True,
            "inner": memory.inner if inner is None else inner,
        }
    )


def _gateway_age(signals: Signals) -> float | None:
    """The age of what is known of the gateway; where nobody tells it apart, that of all signals."""
    return (
        signals.age_seconds if signals.gateway_age_seconds is None else signals.gateway_age_seconds
    )
