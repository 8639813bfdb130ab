"""`make bench-autoscaler`: the page names what wrote it, and the exit code says whether all claims hold."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tidegate.autoscaler.simulator.comparison import PolicyResult, TraceSpec
from tidegate.autoscaler.simulator.score import Score
from tidegate.autoscaler.simulator.system import System

BENCH = Path(__file__).parents[2] / "bench" / "autoscaler.py"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The bench, in a checkout without traces beside it, with scores of our own instead of simulated ones."""
    spec = importlib.util.spec_from_file_location("bench_autoscaler", BENCH)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sloq, others = Score(50.0, 80.0, 0.0, 0.0), Score(100.0, 100.0, 0.0, 0.0)

    def compare_policies(
        policies: Sequence[str], traces: Sequence[TraceSpec], system: System, seeds: Iterable[int]
    ) -> list[PolicyResult]:
        return [
            PolicyResult(words, Path(one.name).stem, sloq if words == "sloq" else others)
            for one in traces
            for words in policies
        ]

    def nothing(*_: Any) -> None:
        pass

    checkout = tmp_path / "checkout"
    monkeypatch.setattr(module, "ROOT", checkout)
    monkeypatch.setattr(module, "SHARED", tmp_path / "shared" / "data" / "traces")
    monkeypatch.setattr(module, "compare_policies", compare_policies)
    monkeypatch.setattr(module, "speed", lambda _: 40.0)
    for name in ("run_one", "write_page", "pareto_page"):
        monkeypatch.setattr(module, name, nothing)
    monkeypatch.setattr(sys, "argv", ["autoscaler.py", "--out", str(tmp_path / "out")])
    return module


def page(tmp_path: Path) -> str:
    written = tmp_path / "out" / "explanation" / "autoscaler-benchmark.md"
    return written.read_text(encoding="utf-8")


def test_traces_beside_the_checkout_are_taken_and_the_page_names_the_command(
    bench: ModuleType, tmp_path: Path
) -> None:
    bench.SHARED.mkdir(parents=True)
    (bench.SHARED / "shop.csv").touch()
    assert bench.main() == 0
    assert "Written by `make bench-autoscaler TRACES=../shared/data/traces` on " in page(tmp_path)
    assert "| shop | 50 · 0.1 · 0.0 |" in page(tmp_path)


def test_without_them_it_says_so_and_the_page_names_no_folder(
    bench: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sys.argv += ["--seeds", "2"]
    assert bench.main() == 0
    assert "Written by `make bench-autoscaler SEEDS=2` on " in page(tmp_path)
    assert "../shared/data/traces does not exist" in capsys.readouterr().err


def test_a_folder_without_traces_is_refused(bench: ModuleType, tmp_path: Path) -> None:
    sys.argv += ["--traces", str(tmp_path)]
    with pytest.raises(SystemExit, match="2"):
        bench.main()
    assert not (tmp_path / "out").exists()


def test_it_fails_where_a_claim_does_not_hold(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = bench.compare_policies

    def calm_no_more(*args: Any) -> list[PolicyResult]:
        worse = Score(50.0, 80.0, 9.0, 0.0)
        return [
            PolicyResult("sloq", "steady", worse)
            if (one.policy, one.trace) == ("sloq", "steady")
            else one
            for one in own(*args)
        ]

    monkeypatch.setattr(bench, "compare_policies", calm_no_more)
    assert bench.main() == 1
    assert "- **does not hold**: at most 2 reversals an hour on steady: 9.0" in page(tmp_path)
    assert "- holds: at most 60 % of HPA's violation-seconds in sum: 50.0%" in page(tmp_path)
