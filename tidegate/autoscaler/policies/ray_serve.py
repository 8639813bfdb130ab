"""Ray Serve's replica autoscaling, on ongoing requests.

As in ray-project/ray, python/ray/serve/autoscaling_policy.py, with the defaults of AutoscalingConfig:
2 ongoing requests per replica, averaged over 30 s; upscale delay 30 s, downscale delay 600 s, both factors 1.
Ray decides every 0.1 s. The delays are counted in ticks, as in Ray, so they are the same for any tick.
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
    plural,
)

TICK_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class RayServeParameters:
    """Ray Serve's AutoscalingConfig.

    Attributes:
        min: min_replicas.
        max: max_replicas.
        target: target_ongoing_requests, of one replica.
        look_back_seconds: look_back_period_s.
        up_delay_seconds: upscale_delay_s.
        down_delay_seconds: downscale_delay_s.
        up_factor: upscaling_factor.
        down_factor: downscaling_factor.
        tick_seconds: the time between decisions.
    """

    min: int
    max: int
    target: float = 2.0
    look_back_seconds: float = 30.0
    up_delay_seconds: float = 30.0
    down_delay_seconds: float = 600.0
    up_factor: float = 1.0
    down_factor: float = 1.0
    tick_seconds: float = TICK_SECONDS


def ray_serve(parameters: RayServeParameters) -> Policy:
    """The policy with these parameters.

    Its state: `samples` (time, ongoing requests); `count`, the number of consecutive ticks at which more
    (above 0) or fewer (below 0) replicas were needed.
    """
    recorded_parameters = asdict(parameters)
    bounds = Bounds(parameters.min, parameters.max)

    def decide(state: dict[str, Any], signals: Signals, now: float) -> Decision:
        current, ready = signals.desired, signals.ready
        samples, count = samples_of(state), int(state.get("count", 0))
        why = missing_signal(signals) or ("no replica is ready" if ready < 1 else "")
        if why:
            # Ray leaves out replicas without metrics; without any metric it decides nothing.
            after = {"samples": samples, "count": count}
            return held(bounds, current, why, recorded_parameters, after)
        samples = add_sample(
            samples, (now, signals.in_system or 0.0), now - parameters.look_back_seconds
        )
        ongoing = mean(samples)
        wanted = bounds.clamp(_scaled(parameters, ongoing / parameters.target, ready))

        desired, ticks = current, 0
        if wanted > current:
            ticks = count = max(count, 0) + 1
            if count > int(parameters.up_delay_seconds / parameters.tick_seconds):
                desired, count = wanted, 0
        elif wanted < current:
            count = min(count, 0) - 1
            ticks = -count
            if count < -int(parameters.down_delay_seconds / parameters.tick_seconds):
                # To zero only from one.
                desired, count = (wanted if current == 1 else max(1, wanted)), 0
        else:
            count = 0
        desired = bounds.clamp(desired)
        return Decision(
            desired=desired,
            reason=direction(current, desired),
            explanation=(
                f"{format_change(current, desired)}: {digits(ongoing)} ongoing requests, target"
                f" {parameters.target:g} per replica; {wanted} wanted for {plural(ticks, 'tick')}"
            ),
            inputs={"ongoing": ongoing, "wanted": wanted, "parameters": recorded_parameters},
            state={"samples": samples, "count": count},
        )

    return decide


def _scaled(parameters: RayServeParameters, wanted: float, ready: int) -> int:
    """Move towards the wanted number by a factor of the difference; down by at least 1."""
    difference = wanted - ready
    factor = parameters.up_factor if difference > 0 else parameters.down_factor
    scaled = math.ceil(ready + factor * difference)
    if math.ceil(wanted) < ready and scaled == ready:
        scaled -= 1
    return scaled
