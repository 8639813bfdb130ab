"""Reads decisions from lines of JSON: an event file, or the output of `tidegate explain --json`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any, Final

import orjson
from pydantic import BaseModel, ValidationError

from tidegate.autoscaler.audit.intervals import decision_of
from tidegate.autoscaler.decision_event import DRY_RUN
from tidegate.autoscaler.types import Signals
from tidegate.events.event import Event
from tidegate.runtime.identity import own_version
from tidegate.store.search.event_lines import value_of

DATASET: Final = "tidegate.decision"
KNOWN_SIGNALS: Final = frozenset(one.name for one in fields(Signals))
# Recorded inputs of what wraps a policy.
WRAPPERS: Final = ("zero", "schedule", "control")
# The resizer's; each of the others may be missing at a tick.
COUNTS: Final = frozenset({"ready", "running", "desired"})


class _Inputs(BaseModel):
    parameters: dict[str, Any]


class _Decision(BaseModel):
    desired: int
    previous: int
    slots: int | None = None
    policy: str
    inputs: _Inputs
    state: dict[str, Any]
    signals: Signals
    now: float


class _Tidegate(BaseModel):
    decision: _Decision


class _Event(BaseModel):
    """What an event must have. Only for validation: the parsed values would turn integers into floats."""

    message: str
    tidegate: _Tidegate


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """A recorded decision.

    `fields` are the event's `tidegate.decision`.
    """

    line: int
    event: Event
    fields: dict[str, Any]
    signals: Signals

    @property
    def now(self) -> float:
        """The time of the decision, in seconds on the clock of its run."""
        return float(self.fields["now"])

    @property
    def own_slots(self) -> int | None:
        """The base slots of a replica, if the policy can lend it more."""
        own = self.fields["inputs"]["parameters"].get("base_slots")
        return own if isinstance(own, int) and own > 0 else None

    @property
    def explanation(self) -> str:
        """The explanation, without the prefix of a dry run."""
        return str(self.event["message"]).removeprefix(DRY_RUN)


def read_decisions(
    lines: Iterable[bytes | Event], on_problem: Callable[[int, str], None]
) -> Iterator[RecordedDecision]:
    """The decisions in the lines; other events are skipped.

    Args:
        lines: one event each, as JSON or parsed.
        on_problem: called with the number of an invalid line and the reason; the line is skipped.
    """
    for number, line in enumerate(lines, 1):
        if isinstance(line, bytes) and not line.strip():
            continue
        try:
            event = orjson.loads(line) if isinstance(line, bytes) else line
            if event["event"]["dataset"] != DATASET:
                continue
        except (orjson.JSONDecodeError, KeyError, TypeError):
            on_problem(number, "not an event")
            continue
        try:
            # Strict: a text that reads as a number would stay a text.
            text = line if isinstance(line, bytes) else orjson.dumps(line)
            _Event.model_validate_json(text, strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            on_problem(number, f"not a decision that can be replayed: {where}: {first['msg']}")
            continue
        decision = event["tidegate"]["decision"]
        recorded = decision["signals"].keys()
        if wrong := (recorded - KNOWN_SIGNALS) | (COUNTS - recorded):
            on_problem(
                number,
                f"not a decision that can be replayed: unknown or missing signals {', '.join(sorted(wrong))}"
                f"{other_version(event)}",
            )
            continue
        yield RecordedDecision(number, event, decision, Signals(**decision["signals"]))


def other_version(event: Event) -> str:
    """By which version of Tidegate an event was recorded, in parentheses; empty if it is this one."""
    recorded, own = value_of(event, "service.version"), own_version()
    return "" if recorded == own else f" (recorded by Tidegate {recorded}, this is {own})"


def shortened(events: Iterable[Event]) -> Iterator[Event]:
    """The same decisions with what a log and a replay read of them; equal parts are one object.

    Args:
        events: newest first. Only the oldest one keeps its state, with which a replay begins.
    """
    same: dict[bytes, Any] = {}
    newer: Event | None = None
    for event in events:
        if newer is not None:
            yield _shortened(newer, same)
        newer = event
    if newer is not None:
        yield newer


def _shortened(event: Event, same: dict[bytes, Any]) -> Event:
    decision = decision_of(event)
    inputs = decision.get("inputs") or {}

    def shared(value: Any) -> Any:
        return same.setdefault(orjson.dumps(value), value)

    kept = {name: shared(inputs[name]) for name in ("parameters", *WRAPPERS) if name in inputs}
    state = shared({"left out": True} if decision.get("state") else {})
    return {
        **{name: event[name] for name in ("@timestamp", "message") if name in event},
        "event": shared({"dataset": value_of(event, "event.dataset")}),
        "tidegate": {"decision": {**decision, "inputs": kept, "state": state}},
    }
