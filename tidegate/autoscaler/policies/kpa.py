"""Knative's pod autoscaler (KPA), on concurrency.

As in knative/serving, pkg/autoscaler/scaling/autoscaler.go, with its defaults
(config-autoscaler): every 2 s, a stable window of 60 s and a panic window of 6 s, a target of 70 % of a
replica's concurrency, and per decision at most 1000 times and at least half as many replicas.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

from tidegate.autoscaler.policies.samples import add_sample, held, mean, missing_signal, samples_of
from tidegate.autoscaler.types import (
    Bounds,
    Decision,
    Policy,
    Signals,
    digits,
    direction,
    format_change,
)

TICK_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class KpaParameters:
    """Knative's settings.

    Attributes:
        min: min-scale.
        max: max-scale.
        target_utilisation: container-concurrency-target-percentage, as a fraction.
        stable_seconds: stable-window.
        panic_window_share: panic-window-percentage, as a fraction of the stable window.
        panic_threshold: panic-threshold-percentage, as a ratio.
        max_up_rate: max-scale-up-rate.
        max_down_rate: max-scale-down-rate.
    """

    min: int
    max: int
    target_utilisation: float = 0.7
    stable_seconds: float = 60.0
    panic_window_share: float = 0.1
    panic_threshold: float = 2.0
    max_up_rate: float = 1000.0
    max_down_rate: float = 2.0


def kpa(parameters: KpaParameters) -> Policy:
    """The policy with these parameters.

    Its state: `samples` (time, concurrency) of the stable window; `panic_since`, the last time that
    the load was above the panic threshold; `panic_most`, the maximum of replicas wanted in this panic.
    """
    recorded_parameters = asdict(parameters)
    bounds = Bounds(parameters.min, parameters.max)

    def decide(state: dict[str, Any], signals: Signals, now: float) -> Decision:
        current = signals.desired
        samples = samples_of(state)
        why = missing_signal(signals)
        if why:
            after = {**state, "samples": samples}
            return held(bounds, current, why, recorded_parameters, after)
        samples = add_sample(
            samples, (now, signals.in_system or 0.0), now - parameters.stable_seconds
        )
        target = parameters.target_utilisation * (signals.slots_per_replica or 1)
        stable = mean(samples)
        begin = now - parameters.panic_window_share * parameters.stable_seconds
        panic = mean([one for one in samples if one[0] > begin])

        ready = max(1, signals.ready)
        upper = math.ceil(parameters.max_up_rate * ready)
        lower = math.floor(ready / parameters.max_down_rate)
        wanted_panic = math.ceil(panic / target)
        by_stable = min(max(math.ceil(stable / target), lower), upper)
        by_panic = min(max(wanted_panic, lower), upper)

        # It starts in panic mode if there is more than one replica: without history it must not scale down.
        start = (now, signals.ready) if signals.ready > 1 else (None, 0)
        since, floor = state.get("panic_since", start[0]), state.get("panic_most", start[1])
        over = wanted_panic / ready >= parameters.panic_threshold
        if over:
            since = now
        elif since is not None and since + parameters.stable_seconds < now:
            since, floor = None, 0
        number = by_stable
        if since is not None:
            floor = number = max(by_stable, by_panic, floor)
        desired = bounds.clamp(number)
        mode = "panic" if since is not None else "stable"
        return Decision(
            desired=desired,
            reason=direction(current, desired),
            explanation=(
                f"{format_change(current, desired)}: {mode} mode; mean of {digits(stable)} requests over"
                f" {parameters.stable_seconds:g} s and {digits(panic)} over the panic window, target"
                f" {digits(target)} per replica"
            ),
            inputs={
                "stable": stable,
                "panic": panic,
                "mode": mode,
                "parameters": recorded_parameters,
            },
            state={"samples": samples, "panic_since": since, "panic_most": floor},
        )

    return decide
