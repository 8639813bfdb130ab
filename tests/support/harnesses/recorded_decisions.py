"""Recorded decisions from the events of a test."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tidegate.lab.replay.decisions import RecordedDecision, read_decisions


def read(events: list[dict[str, Any]]) -> list[RecordedDecision]:
    """The decisions of these events, each of which must be one."""

    def on_problem(line: int, why: str) -> None:
        pytest.fail(f"{line}: {why}")

    return list(read_decisions([orjson.dumps(event) for event in events], on_problem))
