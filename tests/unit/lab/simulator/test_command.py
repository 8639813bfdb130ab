"""`tidegate simulate`: its options, its results, its plots."""

import json
from pathlib import Path

import pytest

from tidegate.autoscaler.types import Bounds
from tidegate.lab.simulator.command import simulate
from tidegate.lab.simulator.comparison import TraceSpec, compare_policies, run_one
from tidegate.lab.simulator.score import score
from tidegate.lab.simulator.simulated_policy import simulated_policy
from tidegate.lab.simulator.system import System

SYSTEM = System(bounds=Bounds(1, 8), start=2)
KEYS = [
    "policy", "trace", "violation_seconds", "replica_seconds", "reversals", "over_slo_ratio",
    "cost_per_million", "requests",
]  # fmt: skip


@pytest.fixture
def short(tmp_path: Path) -> str:
    """Ten minutes of 20 requests a second, and of 40 from the third on."""
    path = tmp_path / "short.csv"
    counts = [20 * 60 if minute < 3 else 40 * 60 for minute in range(10)]
    rows = "".join(f"{minute},{count}\n" for minute, count in enumerate(counts))
    path.write_text(f"minute,requests\n{rows}", encoding="utf-8")
    return str(path)


def test_json_is_a_list_with_the_means_of_each_policy(
    short: str, capsys: pytest.CaptureFixture[str]
) -> None:
    policies = ["sloq", "hpa:inflight=0.7"]
    assert simulate(policies, [TraceSpec(short)], SYSTEM, 2, as_json=True, plot=None) == 0
    found = json.loads(capsys.readouterr().out)
    assert [list(one) for one in found] == [KEYS, KEYS]
    assert [(one["policy"], one["trace"]) for one in found] == [(p, "short") for p in policies]
    runs = [run_one("sloq", TraceSpec(short), SYSTEM, seed) for seed in (0, 1)]
    costs = [score(run, SYSTEM.slo_seconds).replica_seconds for run in runs]
    assert found[0]["replica_seconds"] == pytest.approx(sum(costs) / 2)


def test_several_processes_give_the_same_results_as_one(short: str) -> None:
    args = (["step", "kpa"], [TraceSpec(short), TraceSpec(short, 5.0)], SYSTEM, [0, 1])
    assert compare_policies(*args, workers=1) == compare_policies(*args, workers=2)


def test_the_table_is_written(short: str, capsys: pytest.CaptureFixture[str]) -> None:
    traces = [TraceSpec(short)]
    assert simulate(["sloq", "ray-serve"], traces, SYSTEM, 1, as_json=False, plot=None) == 0
    assert "ray-serve" in capsys.readouterr().out


def test_a_policy_has_its_default_tick_unless_set() -> None:
    ticks = {name: simulated_policy(name, SYSTEM).tick_seconds for name in ("sloq", "hpa", "kpa")}
    assert ticks == {"sloq": 5, "hpa": 15, "kpa": 2}
    assert simulated_policy("hpa:tick=5,inflight=0.5", SYSTEM).tick_seconds == 5
