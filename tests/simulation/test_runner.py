"""The command that runs seeds of both simulations, as `make simulate` and `make nightly` do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from . import __main__ as runner


@pytest.mark.parametrize(("world", "seeds"), [("pipeline", 101), ("loop", 2)])
def test_seeds_run_in_several_processes(
    world: str, seeds: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runner.main(["--world", world, "--seeds", f"{seeds}", "--jobs", "2"]) == 0
    assert f"{seeds} seeds of the {world} from 0: none failed" in capsys.readouterr().out


def test_a_run_names_the_seeds_that_fail_and_how_to_repeat_the_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    defect = "a repaired event is not sent"
    assert runner.main(["--seeds", "1", "--defect", defect]) == 1
    printed = capsys.readouterr().out
    assert "1 seeds of the pipeline from 0: 1 failed" in printed
    assert f"replay: python -m tests.simulation --seed 0 --defect '{defect}'" in printed


def test_a_seed_whose_simulation_itself_fails_is_named_and_the_others_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing(seeds: list[int], _: str) -> list[Any]:
        assert seeds != [1]
        return [(seed, "broken") for seed in seeds]

    monkeypatch.setattr(runner, "_world", lambda _: SimpleNamespace(failing=failing))
    assert [seed for seed, _ in runner._chunk("pipeline", "", range(3))] == [0, 1, 2]
