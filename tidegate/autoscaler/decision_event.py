"""How a decision of the autoscaler becomes an event."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tidegate.autoscaler.decisions import DRY_RUN
from tidegate.autoscaler.stretches import moves
from tidegate.autoscaler.types import Decision, Signals
from tidegate.runtime.event_log import EventLog


def record_decision(
    event_log: EventLog,
    decision: Decision,
    *,
    policy: str,
    state: dict[str, Any],
    signals: Signals,
    now: float,
    dry_run: bool = False,
) -> None:
    """Write a decision with all that is needed to replay it; only one that changes something is listed.

    Args:
        event_log: the autoscaler's.
        decision: the policy's output.
        policy: its name, as in the settings.
        state: the policy's state before the decision.
        signals: the policy's input.
        now: the time of the decision, on the policy's clock.
        dry_run: whether the decision stays without effect.
    """
    recorded = {
        "desired": decision.desired,
        "previous": signals.desired,
        "reason": decision.reason,
        "policy": policy,
        "inputs": decision.inputs,
        "state": state,
        "signals": asdict(signals),
        "now": now,
        **({} if decision.slots is None else {"slots": decision.slots}),
        **({"dry_run": True} if dry_run else {}),
    }
    event_log.record(
        "decide",
        f"{DRY_RUN}{decision.explanation}" if dry_run else decision.explanation,
        dataset="decision",
        fields={"tidegate": {"decision": recorded}},
        listed=moves(recorded),
    )
