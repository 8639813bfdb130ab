"""Problems that prevent a start are reported before any program starts."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tidegate.settings import load
from tidegate.stack import disk
from tidegate.stack.checks.preflight import (
    model_problem,
    policy_problem,
    program_problem,
    replicas_problem,
    start_problems,
)
from tidegate.stack.disk import folder_problem
from tidegate.stack.processes.environment import with_absolute_paths


@pytest.mark.parametrize("policy", ["surge", "vertical:most_factor=3"])
def test_a_policy_that_changes_slots_requires_slots_max(policy: str) -> None:
    assert policy_problem(load(autoscaler={"policy": policy}, slots={"per_replica": 3})) == (
        f"autoscaler.policy: {policy!r} changes the slots of replicas: set slots.max above"
        " slots.per_replica, which is 3, or use another policy"
    )


@pytest.mark.parametrize(
    "sections",
    [
        {"autoscaler": {"policy": "surge"}, "slots": {"max": 4}},
        {"autoscaler": {"policy": "surge", "enabled": False}},
        {"autoscaler": {"policy": "sloq"}},
    ],
)
def test_other_policies_have_no_problem(sections: dict[str, Any]) -> None:
    assert policy_problem(load(**sections)) == ""


@pytest.mark.parametrize(
    ("start", "autoscaler", "expected"),
    [
        (0, {}, ""),
        (1, {"enabled": False}, ""),
        (0, {"enabled": False}, "with 0 and autoscaler.enabled = false no replica"),
        (0, {"dry_run": True}, "with 0 and autoscaler.dry_run = true no replica"),
    ],
)
def test_a_stack_that_would_never_have_a_replica_does_not_start(
    start: int, autoscaler: dict[str, bool], expected: str
) -> None:
    problem = replicas_problem(load(replicas={"min": 0, "start": start}, autoscaler=autoscaler))
    assert expected in problem
    assert bool(problem) == bool(expected)


async def test_a_full_disk_is_the_first_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert folder_problem(tmp_path / "data") == ""
    monkeypatch.setattr(disk, "MIN_FREE_BYTES", 2**62)
    problem = folder_problem(tmp_path / "data")
    assert problem.startswith(f"the disk of {tmp_path}/data is full (")
    found = await start_problems(load(stack={"data_dir": tmp_path / "data"}))
    # The free space may differ by now.
    assert found[0].startswith(f"the disk of {tmp_path}/data is full (")


def test_an_application_and_a_command_are_looked_for_without_running_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "main.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    app = {"app": "shop.main:app", "app_dir": tmp_path}
    assert program_problem(load(service=app)) == ""
    problem = program_problem(load(service={**app, "app_dir": tmp_path / "shop"}))
    assert f"service.app: 'shop.main:app': there is no module 'shop' in {tmp_path}/shop" in problem
    problem = program_problem(load(service={**app, "app_dir": tmp_path / "nowhere"}))
    assert problem == f"service.app_dir: {tmp_path}/nowhere is not a folder"

    def command(program: str) -> str:
        return program_problem(load(replicas={"command": (program, "{port}")}))

    assert command(sys.executable) == ""
    assert command("no-such-server") == (
        "replicas.command: there is no program 'no-such-server' on PATH: install it, or give its path"
    )
    assert command("./shop/main.py") == "replicas.command: ./shop/main.py is not an executable file"


def test_a_data_folder_below_a_file_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert f"{tmp_path}/file cannot be written to" in folder_problem(tmp_path / "file" / "data")


def test_a_folder_that_is_on_no_disk_is_not_full() -> None:
    assert folder_problem(Path("/proc/data")) == (
        "/proc is not on a disk: set stack.data_dir to another folder"
    )


def test_in_an_empty_folder_the_first_step_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TIDEGATE_CONFIG", raising=False)
    assert "no tidegate.toml here: for an application" in model_problem(load())
    assert "up --app module:app" in model_problem(with_absolute_paths(load(), tmp_path))
    (tmp_path / "tidegate.toml").touch()
    assert "run `tidegate train`" in model_problem(load())


def test_a_model_whose_files_are_not_those_of_its_manifest_is_refused_before_the_start(
    artefact: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "model"
    shutil.copytree(artefact, broken)
    assert model_problem(load(model={"path": broken})) == ""
    (broken / "model.onnx").write_bytes(b"not a model")
    problem = model_problem(load(model={"path": broken}))
    assert f"{broken}/model.onnx is not the file that manifest.json names" in problem


def test_the_module_of_a_predictor_must_be_found(tmp_path: Path) -> None:
    (tmp_path / "pricing.py").write_text("raise RuntimeError('it is not imported')")
    model = {"path": Path("pricing:Price")}
    assert model_problem(load(model=model, service={"app_dir": tmp_path})) == ""
    problem = model_problem(load(model=model, service={"app_dir": tmp_path / "nowhere"}))
    assert problem.startswith("service.app_dir: ")
    model = {"path": Path("prices:Price")}
    problem = model_problem(load(model=model, service={"app_dir": tmp_path}))
    assert problem.startswith("model.path: 'prices:Price': there is no module 'prices' in ")


def test_no_folder_is_put_in_front_of_a_predictor(tmp_path: Path) -> None:
    settings = load(model={"path": Path("shop.pricing:Price")}, service={"app_dir": Path("shop")})
    absolute = with_absolute_paths(settings, tmp_path)
    assert absolute.model.path == Path("shop.pricing:Price")
    assert absolute.service.app_dir == tmp_path / "shop"
    assert with_absolute_paths(load(model={"path": Path("a.onnx")}), tmp_path).model.path == (
        tmp_path / "a.onnx"
    )
