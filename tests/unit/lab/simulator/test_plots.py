"""The plots: no point is hidden, each mark is in the legend, and every trace is shown."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tidegate.autoscaler.types import Bounds
from tidegate.lab.simulator.command import simulate
from tidegate.lab.simulator.comparison import TraceSpec
from tidegate.lab.simulator.plots import ALL_TRACES, DECISION_MARKS, pareto
from tidegate.lab.simulator.system import System

SYSTEM = System(bounds=Bounds(1, 8), start=2)


@pytest.mark.parametrize(
    ("harms", "floor"),
    [((0.0, 0.0), 0.0), ((50.0, 20.0), 9.0), ((9_000.0, 1.0), 1.0), ((9_000.0, 500.0), 1.0)],
)
def test_a_pareto_plot_hides_no_point(harms: tuple[float, float], floor: float) -> None:
    figure = Figure(figsize=(12, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    # The worst in both lies in the upper right, where HPA is on `spike`.
    sums = {"hpa:inflight=0.7": (9000.0, harms[0]), "sloq": (3000.0, harms[1])}
    pareto(axes, sums, floor=floor)
    figure.draw_without_rendering()
    legend = axes.get_legend()
    assert legend
    assert legend.get_window_extent().x0 >= axes.get_window_extent().x1
    assert axes.get_ylim()[0] <= floor
    assert axes.get_ylim()[1] > max(harms)


def test_the_page_has_a_legend_of_marks_and_a_plot_per_trace_and_in_sum(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    traces = []
    for name in ("calm", "$x_{$"):  # a name is no formula
        file = tmp_path / f"{name}.csv"
        file.write_text("minute,requests\n" + "".join(f"{n},{300 + 3000 * n}\n" for n in range(4)))
        traces.append(TraceSpec(str(file)))
    plots = tmp_path / "page.svg"
    policies = ["sloq", "max(sloq,step)"]
    assert simulate(policies, traces, SYSTEM, 1, as_json=True, plot=plots) == 0
    # matplotlib writes each text beside its outlines as a comment.
    texts = re.findall(r"<!-- (.*?) -->", plots.read_text(encoding="utf-8"))
    assert {"calm", "$x_{$", ALL_TRACES} <= set(texts)
    assert {words for _, words in DECISION_MARKS.values()} <= set(texts)
    assert texts.count("violation-seconds, replica-seconds") == 3
    own = [one for one in json.loads(capsys.readouterr().out) if one["policy"] == "sloq"]
    late, cost = (sum(one[f"{of}_seconds"] for one in own) for of in ("violation", "replica"))
    assert f"sloq: {late:,.0f}, {cost:,.0f}" in texts
