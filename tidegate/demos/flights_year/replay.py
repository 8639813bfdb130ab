"""Sends periods of rows to a running service, and each period's labels one period later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import numpy as np

from tidegate.demos.flights_year.periods import ReplayPeriod
from tidegate.demos.flights_year.replay_record import Batch, ReplayRecord
from tidegate.runtime.http_client import HttpClient, HttpError
from tidegate.runtime.prometheus import Prometheus
from tidegate.service.model.features import Schema

TIMEOUT_SECONDS: Final = 30.0
COUNTED_SECONDS: Final = 60.0
"""How long to wait until Prometheus has counted what was sent."""


class ReplayError(RuntimeError):
    """The replay cannot continue; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast periods are sent: each within `seconds`, in requests of `rows` rows.

    After each is a pause, so that no sample of a counter spans two periods.
    """

    seconds: float
    rows: int
    settle_seconds: float


@dataclass(frozen=True, slots=True)
class RunningStack:
    """The service, the Prometheus that scrapes it, and the expected version of the model."""

    url: str
    prometheus: str
    version: str


async def replay(
    target: RunningStack,
    schema: Schema,
    periods: Sequence[ReplayPeriod],
    pace: Pace,
    report: Callable[[str], None],
) -> ReplayRecord:
    """Send every period, then the labels of the last one; report a line of progress after each.

    Raises:
        ReplayError: a request failed, or Prometheus did not count what was answered.
    """
    record = ReplayRecord()
    async with aiohttp.ClientSession(trust_env=False) as session:
        sender = _Sender(session, target, schema, periods, record)
        for number in range(len(periods) + 1):
            begin = time.time()
            await sender.send_period(number, pace)
            await sender.wait_until_counted()
            await asyncio.sleep(pace.settle_seconds)
            if number < len(periods):
                record.spans.append((begin, time.time()))
            name = periods[number].name if number < len(periods) else "the last labels"
            report(
                f"{name}: {record.answered:,} rows answered so far, {record.labelled:,} labels sent"
            )
    return record


@dataclass(slots=True)
class _Sender:
    session: aiohttp.ClientSession
    target: RunningStack
    schema: Schema
    periods: Sequence[ReplayPeriod]
    record: ReplayRecord

    async def send_period(self, number: int, pace: Pace) -> None:
        """Send a period's rows, interleaved with the labels of the previous period."""
        rows = len(self.periods[number]) if number < len(self.periods) else 0
        parts = [range(at, min(at + pace.rows, rows)) for at in range(0, rows, pace.rows)]
        unlabelled = self.record.batches_of(number - 1)
        count = max(len(parts), len(unlabelled))
        begin = time.monotonic()
        for step in range(count):
            # From the begin, not from the previous request: a slow response does not prolong the period.
            await asyncio.sleep(max(0.0, begin + step * pace.seconds / count - time.monotonic()))
            if step < len(parts):
                await self._predict(number, parts[step])
            if step < len(unlabelled):
                await self._send_labels(unlabelled[step])

    async def _predict(self, number: int, part: range) -> None:
        matrix = self.periods[number].matrix[part.start : part.stop]
        body = await self._post("/predict", {"instances": self.schema.decode(np.array(matrix))})
        if (version := body["model"]["version"]) != self.target.version:
            raise ReplayError(f"version {version} answers; expected version {self.target.version}")
        predictions = body["predictions"]
        self.record.batches.append(
            Batch(
                number,
                tuple(part),
                time.time(),
                tuple(str(each["label"]) for each in predictions),
                tuple(str(each["prediction_id"]) for each in predictions),
            )
        )

    async def _send_labels(self, batch: Batch) -> None:
        actual = self.periods[batch.period].actual
        outcomes = [
            {"prediction_id": prediction_id, "label": actual[row]}
            for prediction_id, row in zip(batch.prediction_ids, batch.rows, strict=True)
        ]
        answer = await self._post("/feedback", {"outcomes": outcomes})
        if answer["refused"]:
            raise ReplayError(f"labels were refused: {answer['detail'][0]}")
        self.record.labelled_at.append(time.time())

    async def _post(self, path: str, body: Any) -> Any:
        client = HttpClient(self.session, self.target.url, seconds=TIMEOUT_SECONDS)
        try:
            return await client.post(path, body)
        except HttpError as error:
            raise ReplayError(str(error)) from error

    async def wait_until_counted(self) -> None:
        """Wait until Prometheus has counted everything that was sent."""
        of = f'{{job="model", version="{self.target.version}"}}'
        sent = (self.record.answered, self.record.labelled)
        queries = (f"sum(tidegate_predictions_total{of})", f"sum(ml_outcomes_total{of})")
        deadline = time.monotonic() + COUNTED_SECONDS
        while (found := [await self._query(query) for query in queries]) != list(sent):
            if time.monotonic() > deadline:
                rows, labels = found
                raise ReplayError(
                    f"Prometheus counted {rows:.0f} rows and {labels:.0f} labels, "
                    f"but {sent[0]} and {sent[1]} were sent"
                )
            await asyncio.sleep(0.5)

    async def _query(self, query: str) -> float:
        try:
            found = await Prometheus(self.session, self.target.prometheus).query(query)
        except HttpError as error:
            raise ReplayError(str(error)) from error
        return sum(value for one in found for _, value in one.samples)
