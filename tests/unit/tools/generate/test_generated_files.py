"""Every metric, rule, alert and setting is documented, rules are tested, and generated files are current."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tidegate.rules.rule_files import alerts, model_groups
from tidegate.rules.service_rules import service_groups
from tidegate.settings import Settings
from tools.generate.checkout import ROOT
from tools.generate.generated_files import generate
from tools.generate.metrics import SECTIONS
from tools.generate.promtool.model_recording_cases import model_recording_cases
from tools.generate.promtool.service_alert_cases import alert_cases
from tools.generate.promtool.service_recording_cases import service_recording_cases

SETTINGS = Settings()
DOCUMENTED = {metric.name for metrics in SECTIONS.values() for metric in metrics}
GROUPS = (*service_groups(SETTINGS.slo), *model_groups(SETTINGS.drift))
RECORDED = {recording.name for group in GROUPS for recording in group.recordings}
SUFFIXES = ("_bucket", "_count", "_sum")


def metric_names(expression: str) -> set[str]:
    """The names of the raw and recorded series in an expression."""
    found = set(
        re.findall(
            r"\b(?:haproxy|tidegate|http_server|ml)_\w+|\b(?:service|model|replica):\w+:\w+",
            expression,
        )
    )
    return {re.sub(rf"({'|'.join(SUFFIXES)})$", "", name) for name in found}


def test_the_committed_files_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    from tidegate.settings import load

    assert generate(load(), check=True) == 0, capsys.readouterr().out


def test_check_names_stale_files_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(SETTINGS, check=True, folder=tmp_path) == 1
    assert "docs/reference/settings.md: not current" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
    assert generate(SETTINGS, check=False, folder=tmp_path) == 0
    assert generate(SETTINGS, check=True, folder=tmp_path) == 0
    (tmp_path / "docs/reference/settings.md").write_bytes(b"\xff")
    assert generate(SETTINGS, check=True, folder=tmp_path) == 1


@pytest.mark.parametrize("name", sorted({alert.name for alert in alerts(SETTINGS)}))
def test_an_alert_has_a_runbook_a_firing_and_a_silent_test(name: str) -> None:
    outcomes = {case.fires for case in alert_cases(SETTINGS) if case.alert == name}
    assert outcomes == {True, False}
    runbook = (ROOT / "docs/runbooks" / f"{name}.md").read_text(encoding="utf-8")
    assert runbook.startswith(f"# {name}\n")
    headings = re.findall(r"^## (.*)$", runbook, re.MULTILINE)
    meaning, *_ = runbook.partition("\n## ")
    assert "**Impact**: " in meaning
    if twin := re.search(r"^Check and fix: \[(\w+)\]", runbook, re.MULTILINE):
        other = ROOT / "docs/runbooks" / f"{twin[1]}.md"
        headings = re.findall(r"^## (.*)$", other.read_text(encoding="utf-8"), re.MULTILINE)
    else:
        assert "```" in runbook, "the section Check has commands"
    assert headings == ["Check", "Fix"]
    unknown = metric_names(runbook) - DOCUMENTED - RECORDED
    assert not unknown


def test_the_searches_in_runbooks_are_valid_queries() -> None:
    from tidegate.store.query import parser

    queries = set()
    for path in (ROOT / "docs/runbooks").glob("*.md"):
        queries |= set(re.findall(r"tidegate search '([^']+)'", path.read_text(encoding="utf-8")))
    assert len(queries) >= 5
    for query in queries:
        parser.parse(query)


def test_each_runbook_has_an_alert() -> None:
    pages = {path.stem for path in (ROOT / "docs/runbooks").glob("*.md")} - {"README"}
    assert pages == {alert.name for alert in alerts(SETTINGS)}


@pytest.mark.parametrize("alert", alerts(SETTINGS), ids=lambda alert: alert.name)
def test_an_alert_has_a_summary_and_uses_documented_series(alert: object) -> None:
    from tidegate.rules.alert import Alert

    assert isinstance(alert, Alert)
    assert alert.summary
    assert alert.description.endswith(".")
    assert metric_names(alert.expression) <= DOCUMENTED | RECORDED


def test_every_rule_uses_documented_metrics_and_is_tested() -> None:
    for group in GROUPS:
        for recording in group.recordings:
            assert metric_names(recording.expression) <= DOCUMENTED | RECORDED, recording.name
    tested = {
        name
        for case in (
            *service_recording_cases(SETTINGS.slo),
            *model_recording_cases(SETTINGS.drift),
        )
        for expression, value in case.expected.items()
        if value is not None
        for name in metric_names(expression)
    }
    assert not RECORDED - tested


def test_the_series_that_the_autoscaler_queries_are_recorded() -> None:
    from tidegate.autoscaler.live.signals import SERIES

    assert set(SERIES.values()) <= RECORDED


def test_every_metric_that_a_page_names_exists() -> None:
    accounts = {"tidegate_reader", "tidegate_viewer", "tidegate_writer"}
    for page in (ROOT / "docs").rglob("*.md"):
        code = re.findall(r"`([a-z_:0-9]+)(?:\{[^`]*)?`", page.read_text("utf-8"))
        assert metric_names(" ".join(code)) - DOCUMENTED - RECORDED <= accounts, page
