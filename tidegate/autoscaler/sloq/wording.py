"""The reason and the explanation of a decision of SLOQ."""

from __future__ import annotations

from tidegate.autoscaler.sloq.pacing import ScalingStep
from tidegate.autoscaler.sloq.parameters import SloqParameters
from tidegate.autoscaler.sloq.signal_checks import CheckedSignals
from tidegate.autoscaler.sloq.sizing import Size
from tidegate.autoscaler.sloq.state import SloqState
from tidegate.autoscaler.types import format_change


def reason(step: ScalingStep) -> str:
    """The reason: `up`, `down`, `limited` by the bounds, `stabilized` above the target, or `hold`."""
    if step.desired != step.current:
        return "up" if step.desired > step.current else "down"
    if step.needed > step.desired:
        return "limited"
    return "stabilized" if step.needed < step.desired else "hold"


def explain(
    parameters: SloqParameters,
    state: SloqState,
    checked: CheckedSignals,
    size: Size,
    step: ScalingStep,
) -> str:
    """The explanation: the change, the work, the replicas needed, and further clauses."""
    work = size.rate * size.service
    formula = f"{size.rate:.3g} requests/s × {size.service:.2g} s = {work:.1f} slots of work"  # noqa: RUF001
    parts = [f"{format_change(step.current, step.desired)}: {formula}"]
    if size.meetable:
        aim = f"P(wait > {size.patience:.2g} s) ≤ {100 * size.late:.2g} %"
        if size.capped:
            parts.append(f"to keep {aim}, at least {step.needed} replicas are needed")
        else:
            replicas = "replica" if step.needed == 1 else "replicas"
            parts.append(f"{step.needed} {replicas} should keep {aim}")
    parts += _measured(parameters, checked)
    parts += size.notes
    if state.slots:
        parts.append(
            f"a replica has {state.slots:g} slots as measured, not {checked.slots} as reported"
        )
    return "; ".join([*parts, *_limits(parameters, checked, step)])


def _measured(parameters: SloqParameters, checked: CheckedSignals) -> list[str]:
    """The measured quantile of latency beside the objective."""
    latency, slo = checked.latency_seconds, parameters.slo_seconds
    if latency is None:
        return []
    over = "over" if latency > slo else "within"
    measured = f"p{100 * parameters.slo_quantile:g} of the last minute is {latency:.2g} s"
    # 0.604 s is over an objective of 0.6 s, but reads as within it.
    if f"{latency:.2g}" == f"{slo:.2g}" and latency > slo:
        measured = measured.replace(f"{latency:.2g} s", f"{latency:.4g} s")
    return [f"{measured}, {over} the objective of {slo:g} s"]


def _limits(parameters: SloqParameters, checked: CheckedSignals, step: ScalingStep) -> list[str]:
    """Why the number differs from the one needed."""
    if step.needed > step.desired:
        return [f"the maximum is {parameters.max}"]
    if step.needed == step.desired:
        return []
    if checked.keep_replicas:
        return [checked.keep_replicas]
    if step.largest >= step.desired and step.desired > parameters.min:
        largest = f"{step.largest} is the largest target of the last {step.largest_seconds:g} s"
        above = step.largest > parameters.max
        return [f"{largest}, and the maximum is {parameters.max}" if above else largest]
    share, period = parameters.down_share, parameters.down_period_seconds
    at_most = f"at most {share:.0%} are removed in {period:g} s"
    minimum = f"the minimum is {parameters.min}" if step.desired == parameters.min else ""
    return [checked.stopped or minimum or at_most]
