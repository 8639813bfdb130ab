"""Queries to Prometheus."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import aiohttp
from pydantic import BaseModel, Field, ValidationError

from tidegate.runtime.http_client import TIMEOUT_SECONDS, HttpClient, HttpError

# Longer queries are sent as a form: some proxies allow no longer URL. Others allow no POST.
URL_CHARACTERS: Final = 1500
Sample = tuple[float, float]
"""A time in seconds since 1970, and the value then."""


class Series(BaseModel):
    """A series of a response, as Prometheus writes it."""

    labels: dict[str, str] = Field(alias="metric")
    value: Sample | None = None
    values: list[Sample] = Field(default_factory=list)

    @property
    def samples(self) -> list[Sample]:
        """Its samples, in order of time: one of an instant query."""
        return self.values or ([self.value] if self.value else [])


class _Data(BaseModel):
    result: list[Series]


class _Response(BaseModel):
    data: _Data


def parse(body: bytes) -> list[Series]:
    """The series in a response.

    Raises:
        ValueError: it is not a vector or a matrix of Prometheus.
    """
    return _Response.model_validate_json(body).data.result


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A client of Prometheus; a query that fails is an HttpError.

    Attributes:
        session: the HTTP session; the caller closes it.
        url: of Prometheus, as http://HOST:PORT.
        seconds: how long a query may take.
    """

    session: aiohttp.ClientSession
    url: str
    seconds: float = TIMEOUT_SECONDS

    async def query(self, expression: str, at: float | None = None) -> list[Series]:
        """The series of an instant query; with a range selector, such as `ALERTS[10m]`, every sample.

        It is asked for now, or `at` a time in seconds since 1970.
        """
        when = {} if at is None else {"time": f"{at:.3f}"}
        return await self._ask("/api/v1/query", {"query": expression, **when})

    async def query_range(
        self, expression: str, begin: float, end: float, step: float
    ) -> list[Series]:
        """The series of a range query, with a sample each `step` seconds; times in seconds since 1970."""
        span = {"start": f"{begin:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        return await self._ask("/api/v1/query_range", {"query": expression, **span})

    async def values(self, expression: str) -> dict[str, float]:
        """The values of an instant query by the names of their series, without NaN (no arrivals)."""
        found = await self.query(expression)
        values = {one.labels["__name__"]: one.value[1] for one in found if one.value}
        return {name: value for name, value in values.items() if math.isfinite(value)}

    async def value(self, expression: str) -> float:
        """The value of an expression with a single series.

        Raises:
            HttpError: the query fails, or there is no value, or it is NaN.
        """
        for series in await self.query(expression):
            if series.value and not math.isnan(series.value[1]):
                return series.value[1]
        raise HttpError(f"Prometheus at {self.url} has no value for {expression}")

    async def _ask(self, path: str, parameters: dict[str, str]) -> list[Series]:
        client = HttpClient(self.session, self.url, seconds=self.seconds, name="Prometheus")
        long = len(parameters["query"]) > URL_CHARACTERS
        body = await (
            client.call("POST", path, data=parameters)
            if long
            else client.call("GET", path, params=parameters)
        )
        try:
            return parse(body)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise HttpError(
                f"the response of {client.shown(path)} is invalid: {first['msg']}"
            ) from error
