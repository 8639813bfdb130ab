"""SLOQ, or another policy, inside Ray Serve's own autoscaler.

`AutoscalingPolicy(policy_function="tidegate.ray.policy:SloqPolicy", policy_kwargs={"latency_seconds": 0.3})`.
Ray makes one instance in its controller and calls it about ten times a second.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

from tidegate.autoscaler.policy_builder import BuiltPolicy, build_policy
from tidegate.autoscaler.policy_registry import PolicyContext
from tidegate.autoscaler.types import Bounds
from tidegate.ray.inside_signals import InsideSignals


class SloqPolicy:
    """Decides every few seconds, and answers the last number in between. It never raises once it is made.

    Without usable signals the number is held. What it has learned is lost when Ray's controller restarts or
    the deployment is deployed again.

    Args:
        policy: the policy expression, as in `autoscaler.policy`.
        latency_seconds: the objective, as `slo.latency_seconds`.
        latency_quantile: the fraction of requests that must meet it.
        until: the byte of the response that must arrive within it.
        stale_seconds: older counters are not used.
        clock: seconds, on a clock that does not go back.

    Raises:
        PolicyError: the policy expression is invalid.
    """

    def __init__(
        self,
        *,
        policy: str = "sloq",
        latency_seconds: float = 0.5,
        latency_quantile: float = 0.95,
        until: Literal["last_byte", "first_byte"] = "last_byte",
        stale_seconds: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._expression = policy
        self._context = PolicyContext(
            Bounds(1, 1), latency_seconds, latency_quantile, stale_seconds, until=until
        )
        build_policy(policy, self._context)  # refuse a wrong expression at once
        self._clock = clock
        self._signals = InsideSignals(latency_quantile)
        self._built: tuple[Bounds, BuiltPolicy] | None = None
        self._state: dict[str, Any] = {}
        self._next_tick: float | None = None
        self._desired: int | None = None
        self._problem = ""

    def __call__(self, ctx: Any) -> tuple[int, dict[str, Any]]:
        """The number of replicas, and no state for Ray to keep."""
        held = ctx.target_num_replicas
        try:
            self._tick(ctx)
        except Exception as error:  # noqa: BLE001  Ray's controller must go on, and the number stay
            self._report(f"{type(error).__name__}: {error}")
            self._desired = None
        return (held if self._desired is None else self._desired), {}

    def _tick(self, ctx: Any) -> None:
        now = self._clock()
        built = self._policy(ctx)
        if self._next_tick is not None and now < self._next_tick:
            return
        # On a grid: a late call does not delay the later ones.
        late = 0.0 if self._next_tick is None else (now - self._next_tick) % built.tick_seconds
        self._next_tick = now - late + built.tick_seconds
        signals = self._signals.read(ctx, now)
        decision = built.policy(self._state, signals, now)
        self._state = decision.state
        if decision.desired != ctx.target_num_replicas:
            _logger().info(
                "%s: %s",
                ctx.target_num_replicas,
                decision.explanation,
                extra={"reason": decision.reason},
            )
        self._desired = decision.desired
        self._report(signals.problem)

    def _policy(self, ctx: Any) -> BuiltPolicy:
        """The policy for the present bounds; at least one replica, as Ray itself leaves zero."""
        bounds = Bounds(
            max(1, ctx.capacity_adjusted_min_replicas), max(1, ctx.capacity_adjusted_max_replicas)
        )
        if self._built is None or self._built[0] != bounds:
            context = replace(self._context, bounds=bounds)
            self._built = (bounds, build_policy(self._expression, context))
        return self._built[1]

    def _report(self, problem: str) -> None:
        """Log a problem when it begins or changes, and when it ends."""
        if problem != self._problem:
            if problem:
                _logger().warning("the number of replicas is held: %s", problem)
            else:
                _logger().info("the signals are usable again")
            self._problem = problem


def _logger() -> logging.Logger:
    # Ray pickles this module; its handlers write what this logger gets to the log of the controller.
    return logging.getLogger("ray.serve")
