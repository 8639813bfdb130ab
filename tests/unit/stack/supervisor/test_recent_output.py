"""The last decisions, and the recent output of a program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tidegate.stack.supervisor.recent_output import last_decisions, recent_output


def decision(reason: str, message: str) -> str:
    return json.dumps(
        {
            "@timestamp": "2026-01-02T03:04:05.000006Z",
            "message": message,
            "event": {"dataset": "tidegate.decision"},
            "log": {"level": "info"},
            "tidegate": {"decision": {"reason": reason}},
        }
    )


def problem(level: str, message: str) -> str:
    event = {
        **json.loads(decision("", message)),
        "event": {"action": "gateway", "dataset": "tidegate.app"},
        "log": {"level": level},
        "tidegate": {},
    }
    return json.dumps(event)


def test_the_last_decisions_that_changed_the_number_are_found_with_the_problems(
    tmp_path: Path,
) -> None:
    assert last_decisions(tmp_path, 3) == []
    (tmp_path / "autoscaler.1.0.ndjson").write_text(
        "\n".join(
            [
                "cut line}",
                '{"event": 5}',
                '{"event": {"dataset": "tidegate.app"}}',
                decision("up", "one"),
                decision("hold", "two"),
                decision("down", "three"),
                problem("warn", "gateway: away"),
                decision("up", "four"),
            ]
        )
    )
    found = last_decisions(tmp_path, 3)
    assert [(one.level, one.action, one.message) for one in found] == [
        ("info", "down", "three"),
        ("warn", "gateway", "gateway: away"),
        ("info", "up", "four"),
    ]
    assert found[0].at == pytest.approx(1767323045.000006)


def test_the_recent_output_of_a_program_is_its_raw_output_and_its_last_errors(
    tmp_path: Path,
) -> None:
    output = tmp_path / "flights-1.log"
    assert recent_output(output, tmp_path, "flights-1") == ""
    output.write_text("Traceback\n")
    events = [
        {"message": "loaded", "log": {"level": "info"}},
        {"message": "no model", "log": {"level": "error"}, "error": {"message": "bad digest"}},
        {"message": "gone", "log": {"level": "error"}},
        {"message": "refused", "log": {"level": "error"}, "tidegate": {"reason": "why"}},
        {"message": "cut", "log": "error"},
        {"log": {"level": "error"}},
        ["odd"],
    ]
    (tmp_path / "flights-1.1.0.ndjson").write_text("\n".join(map(json.dumps, events)))
    found = recent_output(output, tmp_path, "flights-1")
    assert found == "Traceback\nno model: bad digest\ngone\nrefused: why"
    # A reason that was also printed appears once, also beside the exception that it explains.
    events[0] = {
        "message": "loading failed",
        "log": {"level": "error"},
        "error": {"message": "No module named 'x'"},
        "tidegate": {"reason": "shop needs the package x"},
    }
    (tmp_path / "flights-1.1.0.ndjson").write_text("\n".join(map(json.dumps, events)))
    output.write_text("shop needs the package x\nmodel.onnx: bad digest\n")
    found = recent_output(output, tmp_path, "flights-1")
    assert found == "shop needs the package x\nmodel.onnx: bad digest\ngone\nrefused: why"


def test_the_recent_output_of_a_program_is_not_that_of_another_with_its_name(
    tmp_path: Path,
) -> None:
    output = tmp_path / "shop-1.log"
    output.write_text("shop needs the package x\n")
    start = output.stat().st_size
    with output.open("a") as file:
        file.write("no file prices.csv\n")
    event = '{"message": "%s", "log": {"level": "error"}}\n'
    (tmp_path / "shop-1.4001-8.0.ndjson").write_text(event % "no stock")
    # The other one still runs and writes, in the stack that this one replaces.
    (tmp_path / "shop-1.3999-7.0.ndjson").write_text(event % "no such order")
    assert recent_output(output, tmp_path, "shop-1", start, 4) == "no file prices.csv\nno stock"
    assert recent_output(output, tmp_path, "shop-1", start, 5) == "no file prices.csv"
    output.write_text("after a truncation\n")
    assert recent_output(output, tmp_path, "shop-1", start, 5) == "after a truncation"
