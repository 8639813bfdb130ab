"""The command line: help, lists, plans and errors."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner, Result

from tidegate.loadgen.cli import app
from tidegate.loadgen.plan import traces


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), terminal_width=200)


def test_the_list_shows_each_scenario_with_its_size() -> None:
    shown = invoke("list").output
    assert "seed" in shown
    assert "1,200" in shown
    assert "flights" in shown


def test_the_list_has_whole_words_in_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    shown = invoke("list").output
    assert max(map(len, shown.splitlines())) <= 40
    assert "…" not in shown
    assert "flights  2,793 requests in 120 s" in shown


def test_the_list_works_without_the_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "DATASET", "a_dataset_that_nobody_has")
    result = invoke("list")
    assert result.exit_code == 0
    assert "pip install" in result.output


def test_the_plan_is_printed_as_csv_or_summarized_with_its_digest() -> None:
    rows = invoke("plan", "seed", "--csv").output
    assert len(rows.splitlines()) == 1201
    shown = invoke("plan", "seed").output
    assert "1,200 in 40 s, poisson" in shown
    assert hashlib.sha256(rows.encode()).hexdigest()[:32] in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "sead"], "unknown scenario 'sead'"),
        (["run", "seed", "--threshold", "p95<fast"], "--threshold 'p95<fast'"),
        (["run", "seed", "--url", "http://example.com"], "is not this machine"),
        (["run", "seed", "--prometheus", "\x1b]0;\x07"], r"\x1b]0;\x07: expected a URL"),
        (["run"], "name a scenario"),
        (["run", "seed", "--duration", "30s"], "--duration belongs to --rate"),
        (["run", "seed", "--rate", "5"], "--rate takes the place of a scenario"),
        (
            ["run", "http://127.0.0.1:1/x", "--rate", "5", "--duration", "fast"],
            "'fast'",
        ),
        (["run", "http://127.0.0.1:1/x", "--rate", "5", "--header", "a"], "expected 'Name: value'"),
        (["run", "http://127.0.0.1:1/x", "--rate", "5", "--check", "a"], "--check 'a'"),
        (["run", "http://127.0.0.1:1/x", "--rate", "5"], "nothing listens on this port"),
        (["routes", "http://127.0.0.1:1"], "Connection refused"),
        (["routes", "no/openapi.json"], "no/openapi.json: cannot be read as JSON"),
        (["run", "seed", "--rows", "no/rows.ndjson"], "no/rows.ndjson: cannot be read"),
    ],
)
def test_a_usage_error_is_one_sentence_and_exit_code_2(arguments: list[str], message: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_it_runs_as_a_module_and_a_closed_pipe_is_not_an_error() -> None:
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
