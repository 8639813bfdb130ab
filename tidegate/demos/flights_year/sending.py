"""Sends months through a running service, each month's labels one month later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import numpy as np

from tidegate.demos.flights_year.periods import Month
from tidegate.demos.flights_year.record import Batch, Record
from tidegate.service.model.features import Schema

TIMEOUT: Final = aiohttp.ClientTimeout(total=30)
SEEN_SECONDS: Final = 60.0
"""How long Prometheus may take to have read what was sent."""


class ReplayError(RuntimeError):
    """The replay cannot go on; the text says why."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast months pass.

    Attributes:
        seconds: that a month's requests are spread over.
        rows: in a request.
        settle_seconds: of quiet after each month, so that no sample of a counter is of two months.
    """

    seconds: float
    rows: int
    settle_seconds: float


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go, and where they are counted.

    Attributes:
        url: of the service.
        prometheus: its address.
        version: of the model that is expected to answer.
    """

    url: str
    prometheus: str
    version: str


async def replay(
    target: Target,
    schema: Schema,
    months: Sequence[Month],
    pace: Pace,
    tell: Callable[[str], None],
) -> Record:
    """Send every month, and then the labels of the last one.

    Raises:
        ReplayError: a request failed, or Prometheus did not count what was answered.
    """
    record = Record()
    async with aiohttp.ClientSession(trust_env=False, timeout=TIMEOUT) as session:
        sender = _Sender(session, target, schema, months, record)
        for number in range(len(months) + 1):
            begin = time.time()
            await sender.month(number, pace)
            await sender.seen()
            await asyncio.sleep(pace.settle_seconds)
            if number < len(months):
                record.spans.append((begin, time.time()))
            name = months[number].name if number < len(months) else "the last labels"
            tell(
                f"{name}: {record.answered:,} rows answered so far, {record.labelled:,} labels sent"
            )
    return record


@dataclass(slots=True)
class _Sender:
    session: aiohttp.ClientSession
    target: Target
    schema: Schema
    months: Sequence[Month]
    record: Record

    async def month(self, number: int, pace: Pace) -> None:
        """A month's rows, and among them the labels of the month before."""
        rows = len(self.months[number]) if number < len(self.months) else 0
        parts = [range(at, min(at + pace.rows, rows)) for at in range(0, rows, pace.rows)]
        late = self.record.of(number - 1)
        count = max(len(parts), len(late))
        begin = time.monotonic()
        for turn in range(count):
            # Against an absolute time: a slow answer does not make the month longer.
            await asyncio.sleep(max(0.0, begin + turn * pace.seconds / count - time.monotonic()))
            if turn < len(parts):
                await self._predict(number, parts[turn])
            if turn < len(late):
                await self._label(late[turn])

    async def _predict(self, number: int, part: range) -> None:
        matrix = self.months[number].matrix[part.start : part.stop]
        answer = await self._post("/predict", {"instances": self.schema.decode(np.array(matrix))})
        if (version := answer["model"]["version"]) != self.target.version:
            raise ReplayError(f"version {version} answers, not {self.target.version}")
        given = answer["predictions"]
        self.record.batches.append(
            Batch(
                number,
                tuple(part),
                time.time(),
                tuple(str(one["label"]) for one in given),
                tuple(float(one["probability"]) for one in given),
                tuple(str(one["prediction_id"]) for one in given),
            )
        )

    async def _label(self, batch: Batch) -> None:
        actual = self.months[batch.month].actual
        outcomes = [
            {"prediction_id": name, "label": actual[row]}
            for name, row in zip(batch.ids, batch.rows, strict=True)
        ]
        await self._post("/feedback", {"outcomes": outcomes})
        self.record.known.append(time.time())

    async def _post(self, path: str, body: Any) -> Any:
        url = self.target.url + path
        try:
            async with self.session.post(url, json=body) as answer:
                if answer.status != 200:
                    text = (await answer.text())[:300]
                    raise ReplayError(f"{url} answers {answer.status}: {text}")
                return await answer.json()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ReplayError(f"{url}: {error or 'no answer in time'}") from error

    async def seen(self) -> None:
        """Wait until Prometheus has counted all that was sent."""
        of = f'{{job="model", version="{self.target.version}"}}'
        wanted = (self.record.answered, self.record.labelled)
        queries = (f"sum(tidegate_predictions_total{of})", f"sum(ml_outcomes_total{of})")
        deadline = time.monotonic() + SEEN_SECONDS
        while (found := [await self._value(query) for query in queries]) != list(wanted):
            if time.monotonic() > deadline:
                counted, labels = found
                raise ReplayError(
                    f"Prometheus counts {counted:.0f} rows and {labels:.0f} labels, "
                    f"but {wanted[0]} and {wanted[1]} were sent"
                )
            await asyncio.sleep(0.5)

    async def _value(self, query: str) -> float:
        try:
            url = f"{self.target.prometheus}/api/v1/query"
            async with self.session.get(url, params={"query": query}) as answer:
                text = await answer.json()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ReplayError(f"{self.target.prometheus}: {error}") from error
        return sum(float(one["value"][1]) for one in text["data"]["result"])
