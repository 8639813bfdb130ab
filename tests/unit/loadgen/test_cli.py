"""The command line: help, lists and plans, and mistakes in one sentence."""

from __future__ import annotations

import ast
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tidegate import loadgen
from tidegate.loadgen.cli import app
from tidegate.loadgen.plan import traces

SEED_DIGEST = "89fb9cfc229ee5048306268ae3b188b65032d001609c7bf7c4bcb788d0733df1"


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), terminal_width=200)


def test_help_has_an_example_of_each_command() -> None:
    for command in ("run", "plan", "report"):
        shown = invoke(command, "--help").output
        assert f"tidegate loadgen {command}" in shown
    assert "Exit codes" in invoke("run", "--help").output


def test_the_list_names_every_scenario_with_its_size() -> None:
    shown = invoke("list").output
    assert "seed" in shown
    assert "1,200" in shown
    assert "flights" in shown


def test_the_list_survives_a_missing_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "DATASET", "a_dataset_that_nobody_has")
    result = invoke("list")
    assert result.exit_code == 0
    assert "pip install" in result.output


def test_the_plan_is_printed_byte_for_byte() -> None:
    result = invoke("plan", "seed", "--csv")
    assert hashlib.sha256(result.output.encode()).hexdigest() == SEED_DIGEST
    assert len(result.output.splitlines()) == 1201


def test_the_plan_is_shown_in_short_with_its_digest() -> None:
    shown = invoke("plan", "seed").output
    assert "1,200 in 40 s, poisson" in shown
    assert SEED_DIGEST[:32] in shown


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["plan", "sead"], "there is no scenario 'sead'"),
        (["run", "seed", "--threshold", "p95<fast"], "--threshold 'p95<fast'"),
        (["run", "seed", "--url", "http://example.com"], "is not this machine"),
        (["run", "seed", "--prometheus", "nowhere"], "--prometheus nowhere: needs an address"),
        (["run", "seed", "--rows", "no/rows.ndjson"], "no/rows.ndjson: there is no such file"),
        (["report", "no/run"], "no/run does not hold a run"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_2(arguments: list[str], told: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert told in result.stderr
    assert "Traceback" not in result.stderr


def test_it_runs_as_a_module_and_ends_quietly_when_its_reader_does() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tidegate.loadgen", "plan", "steps", "--csv"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"planned_s,kind,rows,body\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    process.wait(30)
    process.stderr.close()


def test_the_load_generator_knows_nothing_of_the_other_rooms() -> None:
    folder = Path(loadgen.__file__).parent
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert not name.startswith("tidegate") or name.startswith("tidegate.loadgen"), (
                    f"{path}: {name}"
                )
