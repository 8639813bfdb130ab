"""docs/reference/loadgen.md documents all options and outputs."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer.main

from tidegate.loadgen.cli import app
from tidegate.loadgen.plan.checks import OPERATORS
from tidegate.loadgen.plan.rates import Constant, Phase, Ramp, Spike, Steps
from tidegate.loadgen.plan.scenario import Route, Scenario, built_in
from tidegate.loadgen.plan.traces import Departures, Trace
from tidegate.loadgen.report.thresholds import FIGURE_METRICS, RUN_METRICS
from tidegate.loadgen.send.record import COLUMNS

DOC = (Path(__file__).parents[4] / "docs" / "reference" / "loadgen.md").read_text()
PHASES: list[type[Phase]] = [Constant, Steps, Ramp, Spike, Trace, Departures]


def options() -> list[str]:
    command = typer.main.get_command(app)
    run = command.commands["run"]  # type: ignore[attr-defined]
    return [name for one in run.params for name in one.opts if name not in {"scenario", "--help"}]


@pytest.mark.parametrize(
    "name",
    [
        *options(),
        *built_in(),
        *(name for name in Scenario.model_fields if name not in {"phases", "routes"}),
        *sorted({name for phase in PHASES for name in phase.model_fields}),
        *(phase.__name__.lower() for phase in PHASES),
        *(name for name in Route.model_fields if name != "bodies"),
        *OPERATORS,
        *FIGURE_METRICS,
        *RUN_METRICS,
        *COLUMNS,
    ],
)
def test_it_is_documented(name: str) -> None:
    assert f"`{name}`" in DOC or f"\n{name} = " in DOC
