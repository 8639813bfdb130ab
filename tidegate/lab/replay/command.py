"""`tidegate replay`: replays recorded decisions, by the same policy or by another one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
from rich.table import Table

from tidegate.autoscaler.decision_event import format_size
from tidegate.lab.replay.counterfactual import replay_other
from tidegate.lab.replay.decisions import RecordedDecision, other_version, read_decisions
from tidegate.lab.replay.replay import replay
from tidegate.lab.replay.what_if import TickComparison, totals
from tidegate.printable_text import printable
from tidegate.settings import Settings
from tidegate.store.search.event_lines import text_of
from tidegate.terminal_console import Console

SAME, DIFFERENT, BAD_USE = 0, 1, 2
STDIN = "-"


def replay_command(settings: Settings, source: str, *, policy: str, as_json: bool) -> int:
    """Replay the decisions in a file.

    The source `-` is stdin; without a policy the recorded one decides again.

    Returns:
        The exit code: 1 if a decision differs, 2 on bad input or if there is no decision.

    Raises:
        OSError: the file cannot be read.
    """
    name = "stdin" if source == STDIN else source
    try:
        with _open(source) as lines:
            decisions = list(read_decisions(lines, _complain(name)))
        if not decisions:
            sys.stderr.write(f"replay: {name} has no decision\n")
            return BAD_USE
        if policy:
            return _replay_other(settings, decisions, policy, as_json=as_json)
        return _replay_same(decisions, name, as_json=as_json)
    except ValueError as error:
        sys.stderr.write(f"replay: {error}\n")
        return BAD_USE


def difference(recorded: RecordedDecision) -> str:
    """The first difference between a decision and its replay; empty if they are the same, byte for byte."""
    try:
        again = replay(recorded.event)
    except ValueError as error:
        raise ValueError(f"line {recorded.line}: {error}") from error
    pairs: dict[str, tuple[Any, Any]] = {
        "desired": (recorded.fields["desired"], again.desired),
        "slots": (recorded.fields.get("slots"), again.slots),
        "reason": (recorded.fields.get("reason"), again.reason),
        "message": (recorded.explanation, again.explanation),
    }
    before, after = recorded.fields["inputs"], again.inputs
    pairs |= {
        f"inputs.{key}": (before.get(key), after.get(key)) for key in sorted({*before, *after})
    }
    for what, (was, is_now) in pairs.items():
        if _bytes(was) != _bytes(is_now):
            return f"{what}: recorded {_text(was)}, replayed {_text(is_now)}"
    return ""


def _replay_same(decisions: Sequence[RecordedDecision], name: str, *, as_json: bool) -> int:
    found = next(((one, text) for one in decisions if (text := difference(one))), None)
    if as_json:
        summary = {"decisions": len(decisions), "same": found is None}
        first = {"line": found[0].line, "difference": found[1]} if found else None
        sys.stdout.write(orjson.dumps({**summary, "first": first}).decode() + "\n")
    elif found:
        one, text = found
        at = text_of(one.event, "@timestamp")
        said = printable(f"{text}{other_version(one.event)}")
        sys.stdout.write(f"{name}:{one.line}: {at}: {said}\n")
    else:
        sys.stdout.write(f"{len(decisions)} decisions, each the same to the byte\n")
    return DIFFERENT if found else SAME


def _replay_other(
    settings: Settings, decisions: Sequence[RecordedDecision], expression: str, *, as_json: bool
) -> int:
    rows = replay_other(decisions, expression, settings)
    if as_json:
        sys.stdout.write(orjson.dumps(_as_object(rows, expression)).decode() + "\n")
    else:
        Console(highlight=False).print(_as_table(rows, expression))
    return SAME


def _as_object(rows: Sequence[TickComparison], expression: str) -> dict[str, Any]:
    actual, other = totals(rows)
    return {
        "policy": expression,
        "actual": asdict(actual),
        "other": asdict(other),
        "ticks": [
            {
                "@timestamp": row.actual.event.get("@timestamp"),
                "actual": row.actual.fields["desired"],
                "other": row.other.desired,
                "actual_slots": row.actual.fields.get("slots"),
                "other_slots": row.other.slots,
                "explanation": row.other.explanation,
            }
            for row in rows
        ],
    }


def _as_table(rows: Sequence[TickComparison], expression: str) -> Table:
    """A line for each tick at which one of the two changes its number, and the sums."""
    table = Table(box=None, pad_edge=False)
    table.add_column("time", no_wrap=True)
    table.add_column("actual", justify="right")
    table.add_column(expression, justify="right")
    table.add_column(f"why {expression}", overflow="fold")
    before = None
    for row in rows:
        decision = row.actual.fields
        numbers = (
            format_size(decision["desired"], decision.get("slots")),
            format_size(row.other.desired, row.other.slots),
        )
        if numbers != before:
            time = text_of(row.actual.event, "@timestamp")[11:19]
            table.add_row(time, *numbers, printable(row.other.explanation))
        before = numbers
    actual, other = totals(rows)
    table.caption_justify = "left"
    table.caption = "\n".join(
        f"{name}: {sums.replica_seconds:,.0f} replica-seconds, {sums.changes} changes"
        for name, sums in (("actual", actual), (expression, other))
    )
    return table


def _open(source: str) -> Any:
    return nullcontext(sys.stdin.buffer) if source == STDIN else Path(source).open("rb")


def _complain(name: str) -> Callable[[int, str], None]:
    def report(line: int, why: str) -> None:
        sys.stderr.write(f"replay: {name}:{line} {printable(why)}: skipped\n")

    return report


def _bytes(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _text(value: Any) -> str:
    return _bytes(value).decode()
