"""PSI over 5 minutes, an hour and a day is numpy's while replicas come and go, by the rules as they are.

promtool plays the counters of hours in seconds: the rules, their tiles and intervals are those in use, and so
are the scrapes, one each 2 s (each 15 s over a day, which loses more of a replica's last rows).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import yaml

from support.components import unavailable
from tidegate.drift.counting.psi import psi
from tidegate.drift.counting.reference import smoothed_ratios
from tidegate.observability_files.paths import observability_folder
from tidegate.service.artefacts.reference import build_reference
from tidegate.service.model.features import Feature
from tidegate.stack.prometheus import PrometheusError, promtool_binary

pytestmark = pytest.mark.integration

Counts = npt.NDArray[np.int64]

TRAINING = np.random.default_rng(13).normal(size=(50_000, 1)).astype("f4")
REFERENCE = build_reference([Feature(name="x")], TRAINING).features[0]
RATE = 8.0
"""Rows a second of each replica."""
FOUND_SECONDS = 6
"""From a replica's first answer to its first scrape: Prometheus takes in new targets each 5 s."""
DRAIN_SECONDS = 2
"""So long it is asked no more before it ends (1.2 s in life, in whole seconds here)."""


@dataclass(frozen=True)
class Life:
    """One run of a replica's process, in seconds from the beginning of the test."""

    name: str
    begin: int
    end: int
    drifted: bool


@dataclass(frozen=True)
class Case:
    """A window of the rules, and how often one replica becomes five and one again within it."""

    window: str
    seconds: int
    scrape: int
    evaluation: int
    cycles: int

    @property
    def at(self) -> int:
        """When the window is looked at: its end, a whole tile, after a quarter without what it holds."""
        return -(-int(1.25 * self.seconds) // 300) * 300

    def lives(self) -> list[Life]:
        """One replica all the time, and four that come one after the other and go again, each time."""
        made = [Life("m-0", -3600, self.at + 600, drifted=False)]
        cycle = (self.at - self.seconds, self.seconds // self.cycles)
        for turn in range(self.cycles):
            begin = cycle[0] + turn * cycle[1]
            for number in range(1, 5):
                # Off the tiles' and the scrapes' beat, so that lives begin and end anywhere.
                comes = begin + cycle[1] * (2 + number) // 20 + 7 * number
                goes = begin + cycle[1] * (12 + number) // 20 + 11 * number
                made.append(Life(f"m-{number}", comes, goes, drifted=True))
        return made


CASES = (
    Case("5m", 300, scrape=2, evaluation=15, cycles=1),
    Case("1h", 3600, scrape=2, evaluation=60, cycles=1),
    Case("1h", 3600, scrape=2, evaluation=60, cycles=4),
    Case("1d", 86_400, scrape=15, evaluation=60, cycles=1),
    Case("1d", 86_400, scrape=15, evaluation=60, cycles=24),
)


@pytest.fixture(scope="module")
def promtool() -> str:
    try:
        return str(promtool_binary())
    except PrometheusError as error:
        unavailable(str(error))


def needed(window: str) -> list[dict[str, Any]]:
    """The groups of the rules in use that a window is made of."""
    file = observability_folder() / "prometheus" / "rules" / "model.yml"
    wanted = {"model-reference", "model-drift-5m", f"model-drift-{window}"}
    return [each for each in yaml.safe_load(file.read_text())["groups"] if each["name"] in wanted]


def answered(life: Life, random: np.random.Generator) -> Counts:
    """Rows by second and bin, from the life's begin on."""
    shares = np.array(REFERENCE.counts) / sum(REFERENCE.counts)
    if life.drifted:
        shares = shares * np.linspace(0.02, 3, len(shares)) ** 2
        shares /= shares.sum()
    length = life.end - life.begin
    rows = random.poisson(RATE * shares, (length, len(shares)))
    if life.drifted:
        rows[length - DRAIN_SECONDS :] = 0
    return rows.astype(np.int64)


def known(life: Life, at: int) -> bool:
    """Whether Prometheus reads a replica's metrics at a moment."""
    return life.begin + FOUND_SECONDS <= at <= life.end


def scraped(lives: Sequence[Life], rows: Sequence[Counts], scrape: int, end: int) -> Iterator[Any]:
    """The series of each replica's counters and of its start, as promtool takes them."""
    for name in sorted({life.name for life in lives}):
        own = [(life, each) for life, each in zip(lives, rows, strict=True) if life.name == name]
        values: list[list[str]] = [[] for _ in range(len(REFERENCE.counts) + 1)]
        totals = [each.cumsum(axis=0) for _, each in own]
        before = False
        for at in range(0, end + 1, scrape):
            lived = next((n for n, (life, _) in enumerate(own) if known(life, at)), None)
            if lived is None:
                # A target that is gone is marked so once.
                for column in values:
                    column.append("stale" if before else "_")
            else:
                begin = own[lived][0].begin
                counts = totals[lived][at - begin - 1].tolist()
                for column, value in zip(values, [begin, *counts], strict=True):
                    column.append(str(value))
            before = lived is not None
        of = f'job="model",instance="{name}"'
        yield {"series": f"process_start_time_seconds{{{of}}}", "values": " ".join(values[0])}
        labels = f'{of},model="m",version="1",feature="x"'
        for place, column in enumerate(values[1:]):
            counter = f'ml_feature_observations_total{{{labels},bin="{place}"}}'
            yield {"series": counter, "values": " ".join(column)}
        for place, ratio in enumerate(smoothed_ratios(REFERENCE.counts).tolist()):
            gauge = f'ml_feature_reference_ratio{{{labels},bin="{place}"}}'
            yield {"series": gauge, "values": f"{ratio!r}x{end // scrape}"}


def within(life: Life, rows: Counts, begin: int, end: int) -> Counts:
    """What a life answered after `begin` and until `end`, by bin."""
    first, last = (min(max(at - life.begin, 0), len(rows)) for at in (begin, end))
    counts: Counts = rows[first:last].sum(axis=0)
    return counts


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.window}, {case.cycles} times")
def test_psi_over_a_whole_window_is_that_of_its_rows(
    case: Case, promtool: str, tmp_path: Path
) -> None:
    random = np.random.default_rng(case.seconds + case.cycles)
    lives = case.lives()
    rows = [answered(life, random) for life in lives]
    counts = sum(
        (
            within(life, each, case.at - case.seconds, case.at)
            for life, each in zip(lives, rows, strict=True)
        ),
        start=np.zeros(len(REFERENCE.counts), np.int64),
    )
    expected, count = psi(counts, REFERENCE.counts), int(counts.sum())
    steady = psi(within(lives[0], rows[0], case.at - case.seconds, case.at), REFERENCE.counts)
    # All drift is in the rows of those that come and go.
    assert steady < 0.01
    assert expected > 0.1
    checks = [
        {
            "expr": f"abs({asked} - {truth!r}) <= bool {0.02 * truth!r}",
            "eval_time": f"{case.at}s",
            "exp_samples": [{"labels": "{}", "value": 1}],
        }
        for asked, truth in (
            (f"sum(model:feature_psi:{case.window})", expected),
            (f"sum(model:feature_samples:{case.window})", count),
        )
    ]
    rules = tmp_path / "rules.yml"
    groups = needed(case.window)
    rules.write_text(json.dumps({"groups": groups}))
    test = {
        "interval": f"{case.scrape}s",
        "input_series": list(scraped(lives, rows, case.scrape, case.at)),
        "promql_expr_test": checks,
    }
    content = {
        "rule_files": [str(rules)],
        "evaluation_interval": f"{case.evaluation}s",
        "group_eval_order": [group["name"] for group in groups],
        "tests": [test],
    }
    file = tmp_path / "test.yml"
    file.write_text(json.dumps(content))  # which is YAML too, and written at once
    done = subprocess.run(
        [promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
