"""What the autoscaler writes down: each decision, and each trouble once when it comes and goes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, TextIO

from tidegate.autoscaler.decisions import DRY_RUN
from tidegate.autoscaler.stretches import moves
from tidegate.autoscaler.types import Decision, Signals
from tidegate.events import EventWriter, Level, Origin, make_event, timestamp
from tidegate.runtime.terminal_output import write_or_discard


@dataclass(slots=True)
class Journal:
    """Writes events, and those a person should see to the terminal too.

    Attributes:
        writer: where events go.
        origin: who writes them.
        clock_ns: nanoseconds since 1970.
        terminal: where a person may look.
    """

    writer: EventWriter
    origin: Origin
    clock_ns: Callable[[], int] = time.time_ns
    terminal: TextIO = field(default_factory=lambda: sys.stderr)
    _troubles: dict[str, str] = field(default_factory=dict, init=False)

    def decided(
        self,
        policy: str,
        state: dict[str, Any],
        signals: Signals,
        now: float,
        decision: Decision,
        *,
        dry_run: bool = False,
    ) -> None:
        """Write a decision with all that it takes to replay it; mark one that stays without effect."""
        told = {
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
        message = f"{DRY_RUN}{decision.explanation}" if dry_run else decision.explanation
        fields = {"event": {"action": "decide"}, "tidegate": {"decision": told}}
        self._write("decision", "info", message, fields)
        if moves(told):
            self._show("info", message)

    def say(self, level: Level, message: str) -> None:
        """Write a sentence."""
        self._write("app", level, message, {"log": {"level": level, "logger": __package__}})
        self._show(level, message)

    def trouble(self, about: str, problem: str, cause: str = "") -> None:
        """Write a problem when it comes, changes or goes, and not while it stays.

        Args:
            about: what it is about: `signals`, `resizer`.
            problem: in words; empty if all is well.
            cause: what stays the same while the problem does; else the problem is its own cause.
        """
        cause = cause or problem
        before = self._troubles.get(about, "")
        self._troubles[about] = cause
        if cause and cause != before:
            self.say("warn", f"{about}: {problem}")
        elif before and not cause:
            self.say("info", f"{about}: all is well again")

    def _write(self, dataset: str, level: Level, message: str, fields: dict[str, Any]) -> None:
        self.writer.write(
            make_event(
                self.origin, dataset, message, unix_ns=self.clock_ns(), level=level, fields=fields
            )
        )

    def _show(self, level: Level, message: str) -> None:
        line = f"{timestamp(self.clock_ns())} {level} autoscaler: {message}\n"
        write_or_discard(self.terminal, line)
