"""How a decision of the autoscaler becomes an event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from tidegate.autoscaler.types import Decision, Signals
from tidegate.runtime.event_log import EventLog

# The beginning of a message whose decision had no effect.
DRY_RUN: Final = "dry run: "


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


def moves(decision: Mapping[str, Any]) -> bool:
    """Whether a decision changes the number of replicas, or the slots of each."""
    slots, asked = decision.get("slots"), (decision.get("signals") or {}).get("slots_asked")
    return decision.get("desired") != decision.get("previous") or (
        slots is not None and asked is not None and slots != asked
    )
