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

from tidegate.autoscaler.sloq.signal_checks import valid_or_none
from tidegate.autoscaler.types import Bounds, Decision, Policy, Signals, format_change


@dataclass(frozen=True, slots=True)
class ScaleToZeroParameters:
    """What it is told.

    Attributes:
        max: never more replicas.
        idle_seconds: the last replica leaves when nothing has come for this long.
        stale_seconds: older signals are not believed, and at zero not to know is borne this long.
    """

    max: int
    idle_seconds: float
    stale_seconds: float


class _ZeroState(BaseModel):
    """The state; times are on the clock of the ticks."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    now: float | None = None
    slots: int | None = Field(default=None, ge=1)
    idle_since: float | None = None
    blind_since: float | None = None
    waking: bool = False
    inner: dict[str, Any] = {}

    @classmethod
    def from_json(cls, saved: dict[str, Any], now: float) -> _ZeroState:
        """What a state holds; of a clock that was set back, no time."""
        try:
            state = cls.model_validate(saved)
        except ValidationError:
            return cls()
        if state.now is not None and now < state.now:
            return state.model_copy(update={"idle_since": None, "blind_since": None})
        return state


def scale_to_zero(
    policy: Policy, parameters: Mapping[str, Any], zero: ScaleToZeroParameters
) -> Policy:
    """The policy, which goes on from zero replicas to one and more, and back.

    Args:
        policy: what decides while there is a replica; its own minimum is 1 or more.
        parameters: of that policy; they are in the inputs also when it is not asked.
        zero: when to go, and when to come back.
    """
    return _ScaleToZero(policy, dict(parameters), zero).decide


@dataclass(frozen=True, slots=True)
class _ScaleToZero:
    policy: Policy
    parameters: dict[str, Any]
    zero: ScaleToZeroParameters

    def decide(self, saved: dict[str, Any], signals: Signals, now: float) -> Decision:
        """As every policy."""
        state = _ZeroState.from_json(saved, now)
        reported_slots = signals.slots_per_replica
        if reported_slots is not None and reported_slots >= 1:
            state = state.model_copy(update={"slots": reported_slots})
        state = state.model_copy(update={"now": now})
        if signals.desired <= 0:
            decision, state = self._at_zero(state, signals, now)
        else:
            decision, state = self._above_zero(state, signals, now)
        return replace(
            decision,
            inputs={**decision.inputs, "zero": asdict(self.zero)},
            state=state.model_dump(mode="json", exclude_defaults=True),
        )

    def _at_zero(
        self, state: _ZeroState, signals: Signals, now: float
    ) -> tuple[Decision, _ZeroState]:
        held, queued = signals.desired, self._queued(signals)
        if queued is None:
            since = now if state.blind_since is None else state.blind_since
            why = f" ({signals.problem})" if signals.problem else ""
            if now - since < self.zero.stale_seconds:
                text = f"whether requests wait is not known{why}"
                state = state.model_copy(update={"blind_since": since})
                return self._own((held, 0), "no-signal", text, None), state
            text = f"whether requests wait has not been known for {now - since:.0f} s{why}"
            return self._own((held, 1), "up", text, None), _woken(state)
        state = state.model_copy(update={"blind_since": None})
        if queued <= 0:
            return self._own((held, 0), "hold", "no request waits at the gateway", queued), state
        requests = "1 request waits" if queued == 1 else f"{queued:g} requests wait"
        text = f"{requests} at the gateway"
        inner = self._decide_inside(state, signals, queued, now)
        if inner is None:
            return self._own((held, 1), "up", text, queued), _woken(state)
        number = self._within(inner.desired)
        if number > 1:
            text = f"{text} ({inner.explanation})"
        decision = replace(
            inner,
            desired=number,
            reason="up",
            explanation=f"{format_change(held, number)}: {text}",
            inputs={**inner.inputs, "waiting": queued},
        )
        return decision, _woken(state, inner.state)

    def _above_zero(
        self, state: _ZeroState, signals: Signals, now: float
    ) -> tuple[Decision, _ZeroState]:
        waking = state.waking and signals.ready <= 0
        held = signals.desired
        inner = self._decide_inside(state, signals, self._queued(signals), now) if waking else None
        if waking and inner is None:
            # Nothing can be known of a replica before the first one is ready.
            text = f"no replica is ready yet since {held} had to come back"
            decision = self._own((held, self._within(held)), "hold", text, self._queued(signals))
            return decision, state.model_copy(update={"idle_since": None})
        inner = inner or self.policy(state.inner, signals, now)
        idle = self._is_idle(signals)
        since = (now if state.idle_since is None else state.idle_since) if idle else None
        state = state.model_copy(
            update={"idle_since": since, "waking": waking, "inner": inner.state}
        )
        # In the minute after the last request the signals stand still, as frozen ones do: that time counts,
        # but nobody leaves before it is over.
        believed = inner.reason != "no-signal" and inner.desired <= held
        if believed and since is not None and now - since >= self.zero.idle_seconds:
            text = f"{format_change(held, 0)}: nothing came for {self.zero.idle_seconds:g} s"
            return replace(inner, desired=0, reason="down", explanation=text), state
        minimum = self._within(held) if waking else 1
        if inner.desired >= minimum:
            return inner, state
        text = (
            f"{format_change(held, minimum)}: replicas are still starting; else {inner.explanation}"
        )
        return replace(inner, desired=minimum, reason="stabilized", explanation=text), state

    def _decide_inside(
        self, state: _ZeroState, signals: Signals, queued: float | None, now: float
    ) -> Decision | None:
        """The policy's decision on what is known while no replica is ready; None if that is too little.

        Nothing is busy, all that is in the system waits, and a replica has the slots that it last had.
        """
        if state.slots is None or queued is None:
            return None
        seen = replace(
            signals,
            slots_per_replica=state.slots,
            busy=0.0,
            queued=queued,
            in_system=queued,
            running=max(1, signals.running),
            age_seconds=_gateway_age(signals),
        )
        return self.policy(state.inner, seen, now)

    def _queued(self, signals: Signals) -> float | None:
        """The requests that wait at the gateway; None if that is not known."""
        text = valid_or_none(signals.waiting)
        if text is not None:
            return text
        age = valid_or_none(_gateway_age(signals))
        return (
            valid_or_none(signals.queued)
            if age is not None and age <= self.zero.stale_seconds
            else None
        )

    def _is_idle(self, signals: Signals) -> bool:
        """Whether it is known that nothing comes, and nothing is there."""
        age = valid_or_none(signals.age_seconds)
        return (
            age is not None
            and age <= self.zero.stale_seconds
            and not signals.problem
            and valid_or_none(signals.arrival_rate_60s) is not None
            and signals.ready > 0
            and signals.slots_per_replica is not None
            and signals.arrival_rate == 0
            and signals.in_system == 0
            and signals.queued in {0, None}
        )

    def _within(self, number: int) -> int:
        return Bounds(1, max(1, self.zero.max)).clamp(number)

    def _own(
        self, change_to: tuple[int, int], reason: str, text: str, queued: float | None
    ) -> Decision:
        """A decision that the policy inside was not asked for."""
        return Decision(
            desired=change_to[1],
            reason=reason,
            explanation=f"{format_change(*change_to)}: {text}",
            inputs={"parameters": self.parameters, "waiting": queued},
            state={},
        )


def _woken(state: _ZeroState, inner: dict[str, Any] | None = None) -> _ZeroState:
    return state.model_copy(
        update={
            "idle_since": None,
            "blind_since": None,
            "waking": True,
            "inner": state.inner if inner is None else inner,
        }
    )


def _gateway_age(signals: Signals) -> float | None:
    """The age of what is known of the gateway; where nobody tells it apart, that of all signals."""
    return (
        signals.age_seconds if signals.gateway_age_seconds is None else signals.gateway_age_seconds
    )
