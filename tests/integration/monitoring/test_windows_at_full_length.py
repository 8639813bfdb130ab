"""The rules' PSI over 5 minutes, an hour and a day equals numpy's while replicas start and stop.

promtool evaluates the counters of hours in seconds. The rules, their tiles and intervals are those in use,
and the scrape interval too: 2 s (15 s over a day, which loses more of a replica's last rows).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import yaml

from support.components import AT_NIGHT
from tidegate.monitoring.counting.drift_test import psi, smoothed_ratios
from tidegate.observability_files.paths import observability_folder
from tidegate.service.artefacts.reference import build_reference
from tidegate.service.model.features import Feature

pytestmark = pytest.mark.integration

Counts = npt.NDArray[np.int64]

TRAINING = np.random.default_rng(13).normal(size=(50_000, 1)).astype("f4")
REFERENCE = build_reference([Feature(name="x")], TRAINING).features[0]
RATE = 8.0
"""Rows per second of each replica."""
DISCOVERY_SECONDS = 6
"""From a replica's first response to its first scrape: Prometheus reads new targets every 5 s."""
DRAIN_SECONDS = 2
"""Time without requests before a replica stops (in production 1.2 s; whole seconds here)."""


@dataclass(frozen=True)
class ReplicaRun:
    """One run of a replica's process, in seconds from the begin of the test."""

    name: str
    begin: int
    end: int
    drifted: bool


@dataclass(frozen=True)
class Case:
    """A window of the rules, and how often the replicas scale from one to five and back within it."""

    window: str
    seconds: int
    scrape: int
    evaluation: int
    cycles: int

    @property
    def at(self) -> int:
        """The end of the window: a multiple of the tile's length, at least 1.25 windows after 0."""
        return -(-int(1.25 * self.seconds) // 300) * 300

    def runs(self) -> list[ReplicaRun]:
        """One replica for the whole time, and in each cycle four that start and stop one after the other."""
        runs = [ReplicaRun("m-0", -3600, self.at + 600, drifted=False)]
        length = self.seconds // self.cycles
        for cycle in range(self.cycles):
            begin = self.at - self.seconds + cycle * length
            for number in range(1, 5):
                # Not aligned with tiles or scrapes.
                start = begin + length * (2 + number) // 20 + 7 * number
                stop = begin + length * (12 + number) // 20 + 11 * number
                runs.append(ReplicaRun(f"m-{number}", start, stop, drifted=True))
        return runs


CASES = (
    Case("5m", 300, scrape=2, evaluation=15, cycles=1),
    Case("1h", 3600, scrape=2, evaluation=60, cycles=1),
    Case("1h", 3600, scrape=2, evaluation=60, cycles=4),
    Case("1d", 86_400, scrape=15, evaluation=60, cycles=24),
)
# It takes as long as the day with 24 cycles, which asks more of the rules.
A_DAY_WITH_ONE_CYCLE = Case("1d", 86_400, scrape=15, evaluation=60, cycles=1)


def rule_groups(window: str) -> list[dict[str, Any]]:
    """The groups of rules that compute the PSI of a window."""
    file = observability_folder() / "prometheus" / "rules" / "model.yml"
    names = {"model-reference", "model-5m", f"model-{window}"}
    return [each for each in yaml.safe_load(file.read_text())["groups"] if each["name"] in names]


def answered(run: ReplicaRun, random: np.random.Generator) -> Counts:
    """Rows by second and bin, from the run's begin on."""
    shares = np.array(REFERENCE.counts) / sum(REFERENCE.counts)
    if run.drifted:
        shares = shares * np.linspace(0.02, 3, len(shares)) ** 2
        shares /= shares.sum()
    length = run.end - run.begin
    rows = random.poisson(RATE * shares, (length, len(shares)))
    if run.drifted:
        rows[length - DRAIN_SECONDS :] = 0
    return rows.astype(np.int64)


def is_scraped(run: ReplicaRun, at: int) -> bool:
    """Whether Prometheus scrapes the replica at this time."""
    return run.begin + DISCOVERY_SECONDS <= at <= run.end


def input_series(
    runs: Sequence[ReplicaRun], rows: Sequence[Counts], scrape: int, end: int
) -> Iterator[Any]:
    """promtool's input series: each replica's counters, start time and reference."""
    for name in sorted({run.name for run in runs}):
        own = [(run, each) for run, each in zip(runs, rows, strict=True) if run.name == name]
        values: list[list[str]] = [[] for _ in range(len(REFERENCE.counts) + 1)]
        totals = [each.cumsum(axis=0) for _, each in own]
        before = False
        for at in range(0, end + 1, scrape):
            current = next((n for n, (run, _) in enumerate(own) if is_scraped(run, at)), None)
            if current is None:
                # Prometheus marks a removed target as stale once.
                for column in values:
                    column.append("stale" if before else "_")
            else:
                begin = own[current][0].begin
                counts = totals[current][at - begin - 1].tolist()
                for column, value in zip(values, [begin, *counts], strict=True):
                    column.append(str(value))
            before = current is not None
        of = f'job="model",instance="{name}"'
        yield {"series": f"process_start_time_seconds{{{of}}}", "values": " ".join(values[0])}
        labels = f'{of},model="m",version="1",feature="x"'
        for index, column in enumerate(values[1:]):
            counter = f'ml_feature_observations_total{{{labels},bin="{index}"}}'
            yield {"series": counter, "values": " ".join(column)}
        for index, ratio in enumerate(smoothed_ratios(REFERENCE.counts)):
            gauge = f'ml_feature_reference_ratio{{{labels},bin="{index}"}}'
            yield {"series": gauge, "values": f"{ratio!r}x{end // scrape}"}


def within(run: ReplicaRun, rows: Counts, begin: int, end: int) -> Counts:
    """Rows by bin that a run answered after `begin` and until `end`."""
    first, last = (min(max(at - run.begin, 0), len(rows)) for at in (begin, end))
    counts: Counts = rows[first:last].sum(axis=0)
    return counts


@pytest.mark.parametrize(
    "case",
    [*CASES, pytest.param(A_DAY_WITH_ONE_CYCLE, marks=AT_NIGHT)],
    ids=lambda case: f"{case.window}, {case.cycles} times",
)
def test_the_psi_over_a_window_is_that_of_its_rows(
    case: Case, promtool: Callable[..., None], tmp_path: Path
) -> None:
    random = np.random.default_rng(case.seconds + case.cycles)
    runs = case.runs()
    rows = [answered(run, random) for run in runs]
    counts = sum(
        (
            within(run, each, case.at - case.seconds, case.at)
            for run, each in zip(runs, rows, strict=True)
        ),
        start=np.zeros(len(REFERENCE.counts), np.int64),
    )
    expected_psi, count = psi(counts, REFERENCE.counts), int(counts.sum())
    constant = psi(within(runs[0], rows[0], case.at - case.seconds, case.at), REFERENCE.counts)
    # All drift is in the rows of the replicas that start and stop.
    assert constant < 0.01
    assert expected_psi > 0.1
    checks = [
        {
            "expr": f"abs({query} - {expected!r}) <= bool {0.02 * expected!r}",
            "eval_time": f"{case.at}s",
            "exp_samples": [{"labels": "{}", "value": 1}],
        }
        for query, expected in (
            (f"sum(model:feature_psi:{case.window})", expected_psi),
            (f"sum(model:feature_samples:{case.window})", count),
        )
    ]
    rules = tmp_path / "rules.yml"
    groups = rule_groups(case.window)
    rules.write_text(json.dumps({"groups": groups}))
    test = {
        "interval": f"{case.scrape}s",
        "input_series": list(input_series(runs, rows, case.scrape, case.at)),
        "promql_expr_test": checks,
    }
    content = {
        "rule_files": [str(rules)],
        "evaluation_interval": f"{case.evaluation}s",
        "group_eval_order": [group["name"] for group in groups],
        "tests": [test],
    }
    file = tmp_path / "test.yml"
    file.write_text(json.dumps(content))  # JSON is valid YAML, and faster to write
    promtool("test", "rules", file)
