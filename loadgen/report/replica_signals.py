"""Replicas and queue during a run, from the target's Prometheus."""

from __future__ import annotations

import json
import math
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

Sample: TypeAlias = tuple[float, float]
"""Seconds since the start of the run, and the value."""
Fetch: TypeAlias = Callable[[str], bytes]
"""Returns the body at a URL, or raises OSError."""

EXPRESSIONS: Final[Mapping[str, str]] = {
    # From the gateway, because tidegate_replicas is as old as the autoscaler's last tick, up to 5 s.
    "ready": "sum(service:replicas_ready:now)",
    "desired": 'max(tidegate_replicas{state="desired"})',
    "queue": "sum(service:queue:now)",
}
STEP_SECONDS: Final = 1
TIMEOUT_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Signals:
    """The series of a run, sorted by time; empty if Prometheus has no data."""

    ready: list[Sample] = field(default_factory=list)
    desired: list[Sample] = field(default_factory=list)
    queue: list[Sample] = field(default_factory=list)

    @property
    def replicas_min(self) -> int | None:
        """The minimum number of ready replicas."""
        return int(min(value for _, value in self.ready)) if self.ready else None

    @property
    def replicas_max(self) -> int | None:
        """The maximum number of ready replicas."""
        return int(max(value for _, value in self.ready)) if self.ready else None


class PrometheusError(Exception):
    """A query failed. The message contains the URL and the reason."""


class Prometheus:
    """Queries Prometheus for the signals. `fetch` performs the HTTP requests, by default with urllib."""

    def __init__(self, url: str, fetch: Fetch | None = None) -> None:
        self._url = url.rstrip("/")
        self._fetch = fetch or _fetch

    def now(self, name: str) -> float | None:
        """Return the current value of a signal, or None if there is none.

        Raises:
            PrometheusError: the query failed.
        """
        samples = self._samples("query", {"query": EXPRESSIONS[name]}, "value")
        return samples[-1][1] if samples else None

    def signals(self, start: float, end: float) -> Signals:
        """Return the series between two times (seconds since 1970).

        Raises:
            PrometheusError: the query failed.
        """
        series = {}
        for name, expression in EXPRESSIONS.items():
            wanted = {"query": expression, "start": start, "end": end, "step": STEP_SECONDS}
            samples = self._samples("query_range", wanted, "values")
            series[name] = [(round(when - start, 3), value) for when, value in samples]
        return Signals(**series)

    def _samples(self, call: str, query: Mapping[str, object], key: str) -> list[Sample]:
        url = f"{self._url}/api/v1/{call}?{urllib.parse.urlencode(query)}"
        try:
            answer = json.loads(self._fetch(url))
            result = answer["data"]["result"]
            if not result:
                return []
            found: Any = result[0][key]
            samples = [
                (float(when), float(value))
                for when, value in ([found] if key == "value" else found)
            ]
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise PrometheusError(f"{self._url}: query failed: {error}") from error
        return [(when, value) for when, value in samples if math.isfinite(value)]


def _fetch(url: str) -> bytes:
    # A proxy from the environment must not be used for a service on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=TIMEOUT_SECONDS) as answer:
        return bytes(answer.read())


def to_csv(signals: Signals) -> Iterator[str]:
    """Return the lines of `signals.csv`."""
    yield "signal,at_s,value\n"
    for name in EXPRESSIONS:
        for at, value in getattr(signals, name):
            yield f"{name},{at:.3f},{value:g}\n"
