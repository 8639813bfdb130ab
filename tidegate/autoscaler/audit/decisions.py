"""Decisions from lines of JSON: an event file, or what `tidegate explain --json` prints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson
from pydantic import BaseModel, ValidationError

from tidegate.autoscaler.decision_event import DRY_RUN
from tidegate.autoscaler.types import Signals
from tidegate.events.event import Event

DATASET: Final = "tidegate.decision"


class _Inputs(BaseModel):
    parameters: dict[str, Any]


class _Decision(BaseModel):
    desired: int
    previous: int
    policy: str
    inputs: _Inputs
    state: dict[str, Any]
    signals: Signals
    now: float


class _Tidegate(BaseModel):
    decision: _Decision


class _Event(BaseModel):
    """What an event must have. It is only looked at, not used: else whole numbers become others."""

    message: str
    tidegate: _Tidegate


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """A decision as its event tells it.

    Attributes:
        line: where it stands, from 1 on.
        event: all of it.
        fields: what it says of the decision.
        signals: what was decided from.
    """

    line: int
    event: Event
    fields: dict[str, Any]
    signals: Signals

    @property
    def now(self) -> float:
        """When, in seconds on the clock of its run."""
        return float(self.fields["now"])

    @property
    def own_slots(self) -> int | None:
        """The slots that a replica has by itself, if the policy could lend it more."""
        own = self.fields["inputs"]["parameters"].get("base_slots")
        return own if isinstance(own, int) and own > 0 else None

    @property
    def explanation(self) -> str:
        """The policy's sentence."""
        return str(self.event["message"]).removeprefix(DRY_RUN)


def format_size(desired: Any, slots: Any) -> str:
    """A number of replicas for a person, and the slots of each if they were decided."""
    return f"{desired}" if slots is None else f"{desired} × {slots}"  # noqa: RUF001


def read_decisions(
    lines: Iterable[bytes], on_problem: Callable[[int, str], None]
) -> Iterator[RecordedDecision]:
    """The decisions in the lines; other events are passed over.

    Args:
        lines: JSON, an event each.
        on_problem: called with the number of a line that is none, and why; the line is left out.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            event = orjson.loads(line)
            if event["event"]["dataset"] != DATASET:
                continue
        except (orjson.JSONDecodeError, KeyError, TypeError):
            on_problem(number, "is no event")
            continue
        try:
            _Event.model_validate(event)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            on_problem(number, f"is no decision that can be made again: {where}: {first['msg']}")
            continue
        fields = event["tidegate"]["decision"]
        yield RecordedDecision(number, event, fields, Signals(**fields["signals"]))
