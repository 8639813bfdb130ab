"""`python -m bench.autoscaler`: what is kept, continued and written."""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bench.autoscaler.cells import CORE, EXTRA, Cell, cells_of, specs_of
from bench.autoscaler.results import Results, run_cells
from tidegate.lab.simulator.comparison import TraceSpec
from tidegate.lab.simulator.score import Score


def plain(done: Iterator[object], total: int) -> Iterable[object]:
    return done


def score_of(cell: Cell) -> Score:
    sloq = cell.policy == "sloq"
    return Score(50.0 if sloq else 100.0, 80.0 if sloq else 100.0, 0.0, 0.01, 5.0)


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """The cells that were simulated, with scores of our own."""
    found: list[Cell] = []

    def score(cell: Cell) -> Score:
        found.append(cell)
        return score_of(cell)

    monkeypatch.setattr(Cell, "simulate", score)
    return found


def test_seeds_come_one_after_the_other_and_the_choice_of_settings_with_the_first_three() -> None:
    specs = [TraceSpec("steady"), TraceSpec("spike")]
    found = cells_of(specs, 5)
    assert [cell.seed for cell in found if cell.policy in CORE] == sorted([0, 1, 2, 3, 4] * 16)
    assert {cell.seed for cell in found if cell.policy in EXTRA} == {0, 1, 2}
    assert len(set(found)) == len(found)


def test_a_simulated_cell_is_that_of_the_simulator() -> None:
    found = Cell("static", TraceSpec("steady"), 0).simulate()
    assert found.replica_seconds == pytest.approx(30 * 3600, rel=0.01)


def test_what_was_stopped_goes_on_without_doing_anything_twice(
    tmp_path: Path, scored: list[Cell]
) -> None:
    cells = cells_of([TraceSpec("steady")], 2)
    results = Results(tmp_path)
    run_cells(results, cells[:5], jobs=1, until=time.monotonic() + 60, progress=plain)
    again = Results.read(tmp_path)
    run_cells(again, cells, jobs=1, until=time.monotonic() + 60, progress=plain)
    assert scored == cells
    assert all(Results.read(tmp_path).get(cell) == score_of(cell) for cell in cells)


def test_nothing_is_begun_after_the_time_is_over(tmp_path: Path, scored: list[Cell]) -> None:
    cells = cells_of([TraceSpec("steady")], 1)
    run_cells(Results(tmp_path), cells, jobs=1, until=time.monotonic(), progress=plain)
    assert not scored


def test_processes_give_the_same_as_one(tmp_path: Path) -> None:
    cells = [Cell(policy, TraceSpec("clumped"), 0) for policy in ("static", "step")]
    found = []
    for jobs in (1, 2):
        results = Results(tmp_path / str(jobs))
        run_cells(results, cells, jobs=jobs, until=time.monotonic() + 60, progress=plain)
        found.append([results.get(cell) for cell in cells])
    assert None not in found[0]
    assert found[0] == found[1]


def test_scores_of_changed_code_or_traces_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("second,requests\n0,1\n", encoding="utf-8")
    (spec,) = specs_of([path])[-1:]
    results, cell = Results(tmp_path), Cell("kpa", spec, 0)
    results.add(cell, score_of(cell))
    assert results.get(cell)
    path.write_text("second,requests\n0,2\n", encoding="utf-8")
    assert results.get(cell) is None
    named = TraceSpec("steady")
    codes = {
        policy: Cell(policy, named, 0).code for policy in ("sloq:late_share=0.1", "sloq", "kpa")
    }
    assert codes["sloq"] == codes["sloq:late_share=0.1"] != codes["kpa"]


def test_a_file_that_is_no_result_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "seed-0.json").write_text(json.dumps(["no"]), encoding="utf-8")
    with pytest.raises(ValueError, match=r"seed-0\.json has no scores of a run"):
        Results.read(tmp_path)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scored: list[Cell]) -> ModuleType:
    """The program, in a checkout without traces beside it."""
    module = importlib.import_module("bench.autoscaler.__main__")
    monkeypatch.setattr(module, "ROOT", tmp_path / "checkout")
    monkeypatch.setattr(module, "SHARED", tmp_path / "shared" / "data" / "traces")
    monkeypatch.setattr(module, "SETTINGS", ("sloq",))
    for name in ("run_one", "write_page", "pareto_page"):
        monkeypatch.setattr(module, name, lambda *_: None)
    folders = ["--out", str(tmp_path / "out"), "--run", str(tmp_path / "run")]
    monkeypatch.setattr(sys, "argv", ["autoscaler", "--jobs", "1", *folders])
    return module


def written(tmp_path: Path) -> str:
    path = tmp_path / "out" / "explanation" / "autoscaler-benchmark.md"
    return path.read_text(encoding="utf-8")


def test_the_page_names_the_command_and_the_seeds(
    bench: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sys.argv += ["--seeds", "2"]
    bench.main()
    text = written(tmp_path)
    assert "Written by `make bench-autoscaler SEEDS=2` on " in text
    assert "means of 2 seeds." in text
    assert "| steady | 100 | 0 · 0.1 (sample) | -50 · 0.1 |" in text
    assert "../shared/data/traces does not exist" in capsys.readouterr().err


def test_traces_beside_the_checkout_are_taken(bench: Any, tmp_path: Path) -> None:
    bench.SHARED.mkdir(parents=True)
    (bench.SHARED / "shop.csv").touch()
    sys.argv += ["--seeds", "1"]
    bench.main()
    assert "`make bench-autoscaler TRACES=../shared/data/traces SEEDS=1`" in written(tmp_path)
    assert "| shop | 100 |" in written(tmp_path)


def test_a_folder_without_traces_is_refused(bench: ModuleType, tmp_path: Path) -> None:
    sys.argv += ["--traces", str(tmp_path)]
    with pytest.raises(SystemExit, match="2"):
        bench.main()
    assert not (tmp_path / "out").exists()


def test_without_a_whole_seed_there_is_no_page(
    bench: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sys.argv += ["--minutes", "0"]
    assert bench.main() == 2
    assert "no seed is whole yet" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_exit_code_says_whether_all_claims_hold(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sys.argv += ["--seeds", "2"]
    # Nothing can be avoided, so that nothing is worse than HPA.
    same = Score(100.0, 80.0, 0.0, 0.01, 5.0)

    def level(cell: Cell) -> Score:
        return same if cell.policy == "sloq" else Score(100.0, 100.0, 0.0, 0.01, 5.0)

    monkeypatch.setattr(Cell, "simulate", level)
    assert bench.main() == 1, "with nothing to avoid the ratio is 1, over 0.6"
    assert "**does not hold in the mean**: at most 0.6" in written(tmp_path)
