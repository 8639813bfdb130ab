"""A model of Prometheus: what it has scraped and recorded of the gateway and the replicas."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

import orjson

from tidegate.autoscaler.live.signals import CLOCK_SLACK_SECONDS, OPTIONAL_SERIES, SERIES

from .world import World

SCRAPE_SECONDS: Final = 2.0
MINUTE: Final = 60.0
# Without one of these a policy may remove nothing. The policies of others decide by one metric.
NEEDED_BY_SLOQ: Final = SERIES.keys() - OPTIONAL_SERIES
NEEDED_BY_OTHERS: Final = frozenset({"in_system", "slots_per_replica"})


@dataclass(frozen=True)
class Sample:
    """The counters at a scrape."""

    at: float
    arrived: int
    answered: int
    slot_seconds: float


class Prometheus:
    """It scrapes every two seconds, and answers with the last sample of each series."""

    def __init__(self, this: World) -> None:
        self.world = this
        self.recorded_at = self._scraped_at = 0.0
        self.recorded: dict[str, float] = {}
        self._samples: deque[Sample] = deque(maxlen=31)
        this.later(0.5, self._scrape)

    def _scrape(self) -> None:
        self.world.later(SCRAPE_SECONDS, self._scrape)
        gateway = self.world.gateway
        if self.world.kind("prometheus") == "stale" or not gateway.runs:
            return
        now = self.world.now
        self._samples.append(Sample(now, gateway.arrived, gateway.answered, gateway.slot_seconds))
        self.recorded_at, self._scraped_at = self.world.unix(), now
        self.recorded = self._record(now)

    def _record(self, now: float) -> dict[str, float]:
        gateway = self.world.gateway
        busy = sum(len(server.requests) for server in gateway.servers.values())
        busiest = max((len(server.requests) for server in gateway.servers.values()), default=0)
        short, long = self._since(now - 15), self._since(now - MINUTE)
        last = self._samples[-1]
        values: dict[str, float] = {
            "queued": len(gateway.queue),
            "gateway_age_seconds": 0.5,
            "ejected": 0.0,
        }
        for name, first in (("arrival_rate", short), ("arrival_rate_60s", long)):
            if last.at > first.at:
                values[name] = (last.arrived - first.arrived) / (last.at - first.at)
        if last.at > short.at:
            values["completed_rate"] = (last.answered - short.answered) / (last.at - short.at)
        for name, first in (("service_seconds", long), ("service_seconds_15s", short)):
            if last.answered > first.answered:
                spent = last.slot_seconds - first.slot_seconds
                values[name] = spent / (last.answered - first.answered)
        if recent := sorted(taken for at, taken in gateway.latencies if at > now - MINUTE):
            values["latency_seconds"] = recent[math.ceil(0.95 * len(recent)) - 1]
            values["service_seconds_p95"] = 1.5 * self.world.setup.service_seconds
        if any(running.ready for port, running in self.world.listeners.items() if port > 18000):
            values |= {
                "busy": busy,
                "busiest": busiest,
                "in_system": busy + len(gateway.queue),
                "in_system_60s": busy + len(gateway.queue),
                "slots_per_replica": self.world.setup.slots,
                "scrape_age": 0.5,
            }
        return values

    def _since(self, at: float) -> Sample:
        return next((one for one in self._samples if one.at >= at), self._samples[-1])

    def answer(self, stale_seconds: float) -> tuple[bytes, bool]:
        """The response to the query for every series, and whether it is complete and true."""
        kind = self.world.kind("prometheus")
        values = dict(self.recorded)
        needed = NEEDED_BY_SLOQ if self.world.setup.policy.startswith("sloq") else NEEDED_BY_OTHERS
        required = [name for name in SERIES if name in NEEDED_BY_SLOQ and name in values]
        whole = needed <= values.keys()
        # A clock that was set back makes samples look younger, by no more than its tolerance.
        whole &= self.world.now - self._scraped_at <= stale_seconds + CLOCK_SLACK_SECONDS
        if kind in {"nan", "half"} and required:
            count = 1 + self.world.number("prometheus") % len(required)
            for name in self.world.random.sample(required, count):
                whole &= name not in needed
                if kind == "nan":
                    values[name] = math.nan
                else:
                    del values[name]
        at = self.recorded_at
        if self.world.unix() - at > stale_seconds:
            values, whole = {}, False
        result = [
            {"metric": {"__name__": SERIES[name]}, "values": [[at, _text(value)]]}
            for name, value in values.items()
        ]
        body = orjson.dumps(
            {"status": "success", "data": {"resultType": "matrix", "result": result}}
        )
        return (body[: len(body) // 2], False) if kind == "torn" else (body, whole)


def _text(value: float) -> str:
    return "NaN" if math.isnan(value) else repr(float(value))
