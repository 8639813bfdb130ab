"""Periods are sent in order, each with the labels of the previous one; an error stops the replay."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from support.samples.flights_replay import FEATURES, rows
from tidegate.demos.flights_year import replay as replay_module
from tidegate.demos.flights_year.periods import ReplayPeriod
from tidegate.demos.flights_year.replay import Pace, ReplayError, RunningStack, replay
from tidegate.service.model.features import Schema

PACE = Pace(seconds=0.05, rows=4, settle_seconds=0.0)
SENT = [
    ReplayPeriod("control", rows(0.0, 2, 10), tuple(["late", "on_time"] * 5)),
    ReplayPeriod("Mar", rows(1.0, 3, 6), ("late",) * 6),
]


@dataclass
class StackDouble:
    """A double of the service and of Prometheus."""

    version: str = "v1"
    uncounted: int = 0
    status: int = 200
    predicted: list[dict[str, Any]] = field(default_factory=list)
    labels: list[tuple[int, str, str]] = field(default_factory=list)

    async def predict(self, request: web.Request) -> web.Response:
        if self.status != 200:
            return web.Response(status=self.status, text="no slot in time")
        instances = (await request.json())["instances"]
        first = len(self.predicted)
        self.predicted += instances
        answers = [
            {"label": "late", "probability": 0.75, "prediction_id": str(first + at)}
            for at in range(len(instances))
        ]
        return web.json_response({"predictions": answers, "model": {"version": self.version}})

    async def feedback(self, request: web.Request) -> web.Response:
        for one in (await request.json())["outcomes"]:
            self.labels.append((len(self.predicted), one["prediction_id"], one["label"]))
        return web.json_response({"accepted": 1, "refused": 0, "detail": []})

    async def query(self, request: web.Request) -> web.Response:
        rows = "predictions" in request.query["query"]
        count = len(self.predicted) if rows else len(self.labels)
        value = [0, str(count - self.uncounted)]
        return web.json_response({"data": {"result": [{"metric": {}, "value": value}]}})


@pytest.fixture
async def stack() -> StackDouble:
    return StackDouble()


@pytest.fixture
async def target(stack: StackDouble) -> AsyncIterator[RunningStack]:
    app = web.Application()
    app.router.add_post("/predict", stack.predict)
    app.router.add_post("/feedback", stack.feedback)
    app.router.add_get("/api/v1/query", stack.query)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield RunningStack(url, url, "v1")
    await runner.cleanup()


async def test_labels_are_sent_one_period_later(stack: StackDouble, target: RunningStack) -> None:
    lines: list[str] = []
    record = await replay(target, Schema(FEATURES), SENT, PACE, lines.append)
    assert record.answered == record.labelled == len(stack.labels) == 16
    assert [batch.rows for batch in record.batches_of(0)] == [(0, 1, 2, 3), (4, 5, 6, 7), (8, 9)]
    assert stack.predicted == [row for m in SENT for row in Schema(FEATURES).decode(m.matrix)]
    # The first label is sent after the begin of the second period, each label with its row's id.
    assert stack.labels[0][0] > 10
    expected = [label for month in SENT for label in month.actual]
    assert [(name, label) for _, name, label in stack.labels] == [
        (str(at), label) for at, label in enumerate(expected)
    ]
    (first, second) = record.spans
    assert (
        first[0]
        < record.batches[0].answered_at
        < first[1]
        <= second[0]
        < record.labelled_at[0]
        < second[1]
    )
    assert lines == [
        "control: 10 rows answered so far, 0 labels sent",
        "Mar: 16 rows answered so far, 10 labels sent",
        "the last labels: 16 rows answered so far, 16 labels sent",
    ]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"status": 503}, "/predict responded with status 503: no slot in time"),
        ({"version": "v2"}, "version v2 answers; expected version v1"),
        ({"uncounted": 1}, "Prometheus counted 9 rows and -1 labels, but 10 and 0 were sent"),
    ],
)
async def test_a_failure_stops_the_replay_with_its_reason(
    stack: StackDouble,
    target: RunningStack,
    changes: dict[str, Any],
    error: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replay_module, "COUNTED_SECONDS", 0.2)
    for name, value in changes.items():
        setattr(stack, name, value)
    with pytest.raises(ReplayError, match=error):
        await replay(target, Schema(FEATURES), SENT, PACE, print)
