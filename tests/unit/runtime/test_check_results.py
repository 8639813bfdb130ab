"""The table has a line for each check, is readable at 80 columns, and ends with a summary."""

from __future__ import annotations

import io
import json

import pytest

from tidegate.runtime.check_results import as_json, failed, ok, report, skipped, summary
from tidegate.terminal_console import Console

RESULTS = {
    "Gateway": [ok("ready", "http://127.0.0.1:8000/ready responded with status 200")],
    "Prometheus": [
        ok("targets", "7 of 7 up"),
        failed("rules", "9 of 152 are wrong", [f"rule {number}: it fails" for number in range(9)]),
    ],
    "Kibana": [skipped("all checks", "verify.kibana_url is not set: no Kibana")],
}


@pytest.mark.parametrize("width", [80, 120])
def test_each_check_has_a_line_below_its_component(width: int) -> None:
    out = io.StringIO()
    Console(file=out, width=width).print(report(RESULTS, width))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert max(map(len, lines)) <= width
    assert lines[0] == "Gateway"
    assert lines[1].split()[:3] == ["ready", "ok", "http://127.0.0.1:8000/ready"]
    assert any(line.strip() == "· rule 0: it fails" for line in lines)
    assert "and 1 more (--json shows all)" in out.getvalue()
    assert lines[-1] == "1 of 3 checks failed (1 skipped): Prometheus: rules."


def test_in_a_narrow_terminal_the_text_stands_below_its_check() -> None:
    out = io.StringIO()
    Console(file=out, width=40).print(report(RESULTS, 40))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert max(map(len, lines)) <= 40
    assert lines[:3] == ["Gateway", "ok      ready", "  http://127.0.0.1:8000/ready responded"]
    assert "failed  rules" in lines
    assert "  · rule 0: it fails" in lines


def test_the_summary_when_all_checks_pass() -> None:
    assert summary({"Gateway": RESULTS["Gateway"]}) == "All 1 checks passed."
    passed = {"Gateway": RESULTS["Gateway"], "Kibana": RESULTS["Kibana"]}
    assert summary(passed) == "All 1 checks passed (1 skipped)."


def test_json_has_every_check_with_its_details() -> None:
    found = json.loads(as_json(RESULTS))
    assert found["ok"] is False
    assert [one["check"] for one in found["checks"]] == ["ready", "targets", "rules", "all checks"]
    assert len(found["checks"][2]["details"]) == 9
