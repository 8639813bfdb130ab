"""A newer version than that of the report is found."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.samples.drift_report import ORIGIN
from tidegate.drift.report.findings import Model, NewerVersion
from tidegate.drift.report.model_choice import newer_version
from tidegate.events.event import Event, make_event
from tidegate.store.embedded.store import EmbeddedStore


def answered(at: datetime, version: str, *, name: str = "flights", label: str = "late") -> Event:
    prediction = {"prediction": {"label": label}} if label else {}
    fields = {"tidegate": {"model": {"name": name, "version": version}, **prediction}}
    at_ns = int(at.timestamp() * 1e9)
    return make_event(ORIGIN, "request", "answered", unix_ns=at_ns, fields=fields)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], None),
        ([(1, "v1", {})], None),
        ([(1, "v2", {}), (2, "v1", {})], None),
        ([(1, "v1", {}), (2, "v2", {})], (2, "v2")),
        ([(1, "v1", {}), (2, "v2", {"name": "wine"})], None),
        ([(1, "v1", {}), (2, "v2", {"label": ""})], None),  # refused requests do not count
    ],
)
def test_a_version_that_answered_later_is_found(
    model: Model,
    tmp_path: Path,
    events: list[tuple[int, str, dict[str, str]]],
    expected: tuple[int, str] | None,
) -> None:
    start = datetime.fromtimestamp(int(time.time()) - 100, UTC)
    store = EmbeddedStore(tmp_path / "store")
    store.append([answered(start + timedelta(seconds=at), of, **more) for at, of, more in events])
    found = newer_version(store, model, start)
    store.close()
    at = start.timestamp()
    assert found == (NewerVersion(expected[1], at + expected[0]) if expected else None)
