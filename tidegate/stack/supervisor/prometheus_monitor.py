"""Monitors what Prometheus has loaded, and the alerts that fire.

Prometheus says that it is ready also without a rule or a target: it takes the names of its files as patterns,
and a pattern that matches nothing is no error.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tidegate.rules.prometheus_config import REPLICA_JOB
from tidegate.runtime.event_log import EventLog
from tidegate.runtime.http_probe import Fetch
from tidegate.runtime.metrics_text import samples
from tidegate.stack.prometheus import CONFIG, RULES
from tidegate.stack.supervisor.status import FiringAlert, ProgramStatus

NAME: Final = "prometheus"
POLL_SECONDS: Final = 5.0
STARTING_POLL_SECONDS: Final = 0.5
TIMEOUT_SECONDS: Final = 2.0
# It takes over a new list of replicas within 5 s, and a busy machine needs longer.
GRACE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """The number of rules, and of scrape targets by job."""

    rules: int
    targets: Mapping[str, int]


def expected(folder: Path) -> Loaded:
    """What the files in Prometheus' folder define; the targets without the replicas.

    Raises:
        OSError: a file cannot be read.
    """
    import yaml  # noqa: PLC0415  3 MB, which the console does without

    texts = [path.read_text(encoding="utf-8") for path in (folder / RULES).glob("*.yml")]
    groups = [group for text in texts for group in (yaml.safe_load(text) or {}).get("groups") or ()]
    config = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    return Loaded(
        rules=sum(len(group.get("rules") or ()) for group in groups),
        targets={
            job["job_name"]: sum(len(one["targets"]) for one in job["static_configs"])
            for job in config["scrape_configs"]
            if "static_configs" in job
        },
    )


def loaded(metrics: str) -> Loaded:
    """What Prometheus has, by its own metrics."""
    targets: Counter[str] = Counter()
    for labels, number in samples(metrics, "prometheus_target_scrape_pool_targets"):
        targets[labels["scrape_job"]] += int(number)
    rules = sum(int(number) for _, number in samples(metrics, "prometheus_rule_group_rules"))
    return Loaded(rules, targets)


def difference(should: Loaded, has: Loaded) -> str:
    """What Prometheus lacks, as a sentence; empty if it has what it should have."""
    missing = [
        f"{has.targets.get(job, 0)} of {number} targets of job {job}"
        for job, number in should.targets.items()
        if has.targets.get(job, 0) != number
    ]
    if has.rules != should.rules:
        missing.insert(0, f"{has.rules} of {should.rules} rules")
    return f"Prometheus has loaded {' and '.join(missing)}" if missing else ""


def firing_alerts(text: str) -> list[FiringAlert] | None:
    """The firing alerts in a response of `/api/v1/alerts`, critical ones first; None if it is invalid."""
    try:
        found = [
            FiringAlert(
                name=one["labels"]["alertname"],
                severity=one["labels"].get("severity", ""),
                summary=one["annotations"].get("summary", ""),
            )
            for one in json.loads(text)["data"]["alerts"]
            if one["state"] == "firing"
        ]
    except (ValueError, KeyError, TypeError):
        return None
    return sorted(found, key=lambda one: (one.severity != "critical", one.name, one.summary))


@dataclass(slots=True)
class PrometheusMonitor:
    """Compares what Prometheus has loaded with what it should have, and reads the alerts that fire.

    `should` leaves the replicas out, whose number may change. A difference that lasts is the `problem`.
    """

    url: str
    should: Loaded
    replicas: Callable[[], int]
    fetch: Fetch
    event_log: EventLog
    clock: Callable[[], float] = time.monotonic
    problem: str = field(default="", init=False)
    alerts: list[FiringAlert] = field(default_factory=list, init=False)
    _since: float | None = field(default=None, init=False)

    async def first_problem(self, seconds: float) -> str:
        """Wait until it has loaded everything. Returns what is still missing after that time."""
        deadline = self.clock() + seconds
        while True:
            found = await self._difference()
            if found == "":
                return ""
            if self.clock() >= deadline:
                return found or f"Prometheus at {self.url} does not answer"
            await asyncio.sleep(STARTING_POLL_SECONDS)

    async def run(self) -> None:
        """Monitor it, until cancelled."""
        while True:
            await self.check()
            await asyncio.sleep(POLL_SECONDS)

    async def check(self) -> None:
        """Look once. While it does not answer nothing changes: its process supervisor reports that."""
        found = await self._difference()
        if found is not None:
            self._observe(found)
        text = await self.fetch(f"{self.url}/api/v1/alerts", TIMEOUT_SECONDS)
        alerts = firing_alerts(text or "")
        if alerts is not None:
            self.alerts = alerts

    def status_of(self, program: ProgramStatus) -> ProgramStatus:
        """The status of its process, with what it lacks."""
        if not self.problem or program.state != "ready":
            return program
        return program.model_copy(update={"state": "failed", "problem": self.problem})

    async def _difference(self) -> str | None:
        """What it lacks; None if it does not answer."""
        metrics = await self.fetch(f"{self.url}/metrics", TIMEOUT_SECONDS)
        if metrics is None:
            return None
        should = {**self.should.targets, REPLICA_JOB: self.replicas()}
        return difference(Loaded(self.should.rules, should), loaded(metrics))

    def _observe(self, found: str) -> None:
        now = self.clock()
        if not found:
            self._since, self.problem = None, ""
            self.event_log.resolved(NAME, "Prometheus has loaded all rules and targets again")
            return
        self._since = now if self._since is None else self._since
        if now - self._since >= GRACE_SECONDS:
            self.problem = found
            self.event_log.condition(NAME, found, level="error", cause="loaded")
