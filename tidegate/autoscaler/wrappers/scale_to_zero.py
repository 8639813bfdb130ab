"""Scale to zero and back, around any policy, which decides while there is a replica.

The last replica is removed after a time without requests. Requests then wait at the gateway, which reports
their number, and the first one starts a replica. Without replicas there are no metrics of them, so the slots
last measured are kept, and the inner policy can size for a burst.

Three invariants:

- Bad data never removes the last replica.
- At zero, if it stays unknown whether there are requests, a replica is started.
- While replicas start from zero, none is removed.
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
    """When to scale to zero.

    Attributes:
        max: the maximum number of replicas.
        idle_seconds: the last replica is removed after this time without requests.
        stale_seconds: older signals are not used; also how long the queue may be unknown at zero.
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
        """The state in a recorded one, without its times if the clock was set back."""
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
    """The policy, extended to scale to zero and back.

    The policy's minimum is at least 1; its parameters are recorded even when it does not decide.
    """
    return _ScaleToZero(policy, dict(parameters), zero).decide


@dataclass(frozen=True, slots=True)
class _ScaleToZero:
    policy: Policy
    parameters: dict[str, Any]
    zero: ScaleToZeroParameters

    def decide(self, saved: dict[str, Any], signals: Signals, now: float) -> Decision:
        """Decide; see `Policy`."""
        state = _ZeroState.from_json(saved, now)
        reported = signals.slots_per_replica or 0
        slots = reported if reported >= 1 else state.slots
        state = state.model_copy(update={"slots": slots, "now": now})
        decide = self._at_zero if signals.desired <= 0 else self._above_zero
        decision, state = decide(state, signals, now)
        return replace(
            decision,
            inputs={**decision.inputs, "zero": asdict(self.zero)},
            state=state.model_dump(mode="json", exclude_defaults=True),
        )

    def _at_zero(
        self, state: _ZeroState, signals: Signals, now: float
    ) -> tuple[Decision, _ZeroState]:
        current, queued, rate = signals.desired, self._queued(signals), self._arrivals(signals)
        if queued is None or rate is None:
            since = now if state.blind_since is None else state.blind_since
            unknown = "whether requests wait" if queued is None else "whether requests arrive"
            why = f" ({signals.problem})" if signals.problem else ""
            if now - since < self.zero.stale_seconds:
                text = f"it is not known {unknown}{why}"
                state = state.model_copy(update={"blind_since": since})
                return self._decision(current, 0, text, None, "no-signal"), state
            text = f"it has not been known for {now - since:.0f} s {unknown}{why}"
            return self._decision(current, 1, text, None), _start_from_zero(state)
        state = state.model_copy(update={"blind_since": None})
        if queued > 0:
            requests = "1 request waits" if queued == 1 else f"{queued:g} requests wait"
            text = f"{requests} at the gateway"
            inner = self._decide_inside(state, signals, queued, now)
        elif rate > 0:
            text = f"{rate:.3g} requests/s arrive"
            inner = self.policy(state.inner, signals, now)
        else:
            text = "no request waits at the gateway"
            return self._decision(current, 0, text, queued, "hold"), state
        if inner is None:
            return self._decision(current, 1, text, queued), _start_from_zero(state)
        number = self._within(inner.desired)
        if number > 1:
            text = f"{text} ({inner.explanation})"
        decision = replace(
            inner,
            desired=number,
            reason="up",
            explanation=f"{format_change(current, number)}: {text}",
            inputs={**inner.inputs, "waiting": queued},
        )
        return decision, _start_from_zero(state, inner.state)

    def _above_zero(
        self, state: _ZeroState, signals: Signals, now: float
    ) -> tuple[Decision, _ZeroState]:
        waking = state.waking and signals.ready <= 0
        current = signals.desired
        inner = self._decide_inside(state, signals, self._queued(signals), now) if waking else None
        if waking and inner is None:
            # Without a ready replica and known slots, the inner policy cannot decide.
            text = f"no replica is ready yet after the start from zero to {current}"
            queued, number = self._queued(signals), self._within(current)
            decision = self._decision(current, number, text, queued, "hold")
            return decision, state.model_copy(update={"idle_since": None})
        inner = inner or self.policy(state.inner, signals, now)
        idle = self._is_idle(signals)
        since = (now if state.idle_since is None else state.idle_since) if idle else None
        state = state.model_copy(
            update={"idle_since": since, "waking": waking, "inner": inner.state}
        )
        # In the minute after the last request the signals do not change and look frozen: that time counts as
        # idle, but no replica is removed before it is over.
        trusted = inner.reason != "no-signal" and inner.desired <= current
        if trusted and since is not None and now - since >= self.zero.idle_seconds:
            text = f"{format_change(current, 0)}: no request for {self.zero.idle_seconds:g} s"
            return replace(inner, desired=0, reason="down", explanation=text), state
        minimum = self._within(current) if waking else 1
        if inner.desired >= minimum:
            return inner, state
        text = f"{format_change(current, minimum)}: replicas are still starting; else {inner.explanation}"
        return replace(inner, desired=minimum, reason="stabilized", explanation=text), state

    def _decide_inside(
        self, state: _ZeroState, signals: Signals, queued: float | None, now: float
    ) -> Decision | None:
        """The inner policy's decision while no replica is ready; None if too little is known.

        All requests in the system are queued, and a replica has the slots last measured.
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

    def _fresh(self, age: float | None, value: float | None) -> float | None:
        """A value of this age; None if it is missing or invalid, or its age unknown or too high."""
        age = valid_or_none(age)
        return valid_or_none(value) if age is not None and age <= self.zero.stale_seconds else None

    def _queued(self, signals: Signals) -> float | None:
        """The number of requests that wait at the gateway; None if unknown."""
        waiting = valid_or_none(signals.waiting)
        return self._fresh(_gateway_age(signals), signals.queued) if waiting is None else waiting

    def _arrivals(self, signals: Signals) -> float | None:
        """Requests a second that arrive although no replica is desired; None if it matters and is unknown.

        KEDA leaves the last pod for its cooldown period, and so long no request waits at the gateway. Without
        a ready replica every request waits there. The rate is then not used: it counts the gateway's restart
        and clients that gave up.
        """
        return (
            0.0 if signals.ready <= 0 else self._fresh(_gateway_age(signals), signals.arrival_rate)
        )

    def _is_idle(self, signals: Signals) -> bool:
        """Whether fresh signals show no arrivals and an empty system."""
        return (
            self._fresh(signals.age_seconds, signals.arrival_rate_60s) is not None
            and not signals.problem
            and signals.ready > 0
            and signals.slots_per_replica is not None
            and signals.arrival_rate == signals.in_system == 0
            and signals.queued in {0, None}
        )

    def _within(self, number: int) -> int:
        return Bounds(1, max(1, self.zero.max)).clamp(number)

    def _decision(
        self, current: int, desired: int, text: str, queued: float | None, reason: str = "up"
    ) -> Decision:
        """A decision made without the inner policy."""
        explanation = f"{format_change(current, desired)}: {text}"
        inputs = {"parameters": self.parameters, "waiting": queued}
        return Decision(desired, reason, explanation, inputs, {})


def _start_from_zero(state: _ZeroState, inner: dict[str, Any] | None = None) -> _ZeroState:
    return state.model_copy(
        update={
            "idle_since": None,
            "blind_since": None,
            "waking": True,
            "inner": state.inner if inner is None else inner,
        }
    )


def _gateway_age(signals: Signals) -> float | None:
    """The age of the gateway's signals; if it is not measured separately, that of all signals."""
    return (
        signals.age_seconds if signals.gateway_age_seconds is None else signals.gateway_age_seconds
    )
