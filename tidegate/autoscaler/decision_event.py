"""The event of a decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from tidegate.autoscaler.types import Decision, Signals
from tidegate.runtime.event_log import EventLog

# Prefix of the message of a decision without effect.
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
    """Write a decision with everything needed to replay it; only changes are listed in the terminal.

    `state` is the policy's before the decision; with `dry_run` the decision has no effect.
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
    # A search cannot compare fields, and a reason such as `hold` may come with other slots.
    changed = recorded["changed"] = is_change(recorded)
    event_log.record(
        "decide",
        f"{DRY_RUN}{decision.explanation}" if dry_run else decision.explanation,
        dataset="decision",
        fields={"tidegate": {"decision": recorded}},
        listed=changed,
    )


def is_change(decision: Mapping[str, Any]) -> bool:
    """Whether a decision changes the number of replicas or their slots."""
    slots, asked = decision.get("slots"), (decision.get("signals") or {}).get("slots_asked")
    return decision.get("desired") != decision.get("previous") or (
        slots is not None and asked is not None and slots != asked
    )


def format_size(desired: Any, slots: Any) -> str:
    """A number of replicas as text, with the slots of each if they were decided."""
    return f"{desired}" if slots is None else f"{desired} × {slots}"  # noqa: RUF001
