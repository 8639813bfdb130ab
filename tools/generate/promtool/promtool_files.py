"""The test files for `promtool test rules`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from tidegate.rules.alert import Alert
from tidegate.rules.model_alerts import model_alerts
from tidegate.rules.rule_files import ALERT_GROUP, MODEL_GROUPS, alerts
from tidegate.rules.service_rules import SERVICE_GROUPS
from tidegate.rules.yaml_text import to_yaml
from tidegate.settings import Settings
from tools.generate.promtool.case_types import RECORDING_EVAL_TIME, AlertCase, RecordingCase
from tools.generate.promtool.model_recording_cases import model_recording_cases
from tools.generate.promtool.service_alert_cases import alert_cases
from tools.generate.promtool.service_recording_cases import service_recording_cases

SERVICE_RULES: Final = ("service.yml", "alerts.yml")
MODEL_RULES: Final = ("model.yml", "alerts.yml")
EVALUATION_INTERVALS: Final = {"1m": "5m"}
# The rules about a model are many. They read windows of 2 minutes or more, and every recorded series that an
# alert reads is less than `FRESH` old: a minute between evaluations gives the same alerts as 15 seconds.
MODEL_EVALUATION_INTERVAL: Final = "1m"
# promtool compares values exactly; rates have rounding errors.
TOLERANCE: Final = 1e-9


def promtool_files(settings: Settings) -> dict[str, str]:
    """Name and text of each test file; they belong into a folder beside the one of the rules, `rules`."""
    rules = alerts(settings)
    model_names = {alert.name for alert in model_alerts(settings.drift)}
    model_cases = [case for case in alert_cases(settings) if case.alert in model_names]
    other_cases = [case for case in alert_cases(settings) if case.alert not in model_names]
    return {
        "service.yml": recording_tests(service_recording_cases(settings.slo)),
        "model.yml": recording_tests(model_recording_cases(settings.drift), MODEL_RULES),
        "alerts.yml": alerting_tests(rules, other_cases, "15s"),
        "model_alerts.yml": alerting_tests(
            rules, model_cases, "15s", MODEL_RULES, every=MODEL_EVALUATION_INTERVAL
        ),
        "burns.yml": alerting_tests(rules, other_cases, "1m"),
    }


def recording_tests(cases: Iterable[RecordingCase], rules: tuple[str, ...] = SERVICE_RULES) -> str:
    """service.yml, model.yml."""
    tests = [
        {
            "name": case.scenario,
            "interval": "2s",
            "input_series": _series(case.series),
            "promql_expr_test": [_expected(name, value) for name, value in case.expected.items()],
        }
        for case in cases
    ]
    return to_yaml(_tests("15s", tests, rules))


def alerting_tests(
    alerts: Iterable[Alert],
    cases: Iterable[AlertCase],
    interval: str,
    rules: tuple[str, ...] = SERVICE_RULES,
    every: str | None = None,
) -> str:
    """alerts.yml, burns.yml, model_alerts.yml.

    Args:
        alerts: the alerts under test.
        cases: only the cases with this interval between samples are written.
        interval: in promtool's notation.
        rules: the rule files that the cases need. promtool evaluates every listed file for each test.
        every: time between two evaluations, of all tests of the file; by default that of the samples, or
            more where evaluating hours would be slow.
    """
    by_name = {alert.name: alert for alert in alerts}
    tests = [
        {
            "name": f"{case.alert} {'fires' if case.fires else 'is silent'}: {case.scenario}",
            "interval": case.interval,
            "input_series": _series(case.series),
            "alert_rule_test": [_outcome(by_name[case.alert], case)],
        }
        for case in cases
        if case.interval == interval
    ]
    return to_yaml(_tests(every or EVALUATION_INTERVALS.get(interval, interval), tests, rules))


def _annotations(alert: Alert, labels: Mapping[str, str]) -> dict[str, str]:
    """The annotations of an alert, with the labels of a series filled in."""
    return {
        name: re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels[found[1]], text)
        for name, text in alert.annotations.items()
    }


def _outcome(alert: Alert, case: AlertCase) -> dict[str, Any]:
    outcome: dict[str, Any] = {"eval_time": case.eval_time, "alertname": alert.name}
    if case.fires:
        firing = {
            "exp_labels": {"severity": alert.severity, **case.labels},
            "exp_annotations": _annotations(alert, case.labels),
        }
        outcome["exp_alerts"] = [firing]
    return outcome


def _tests(interval: str, tests: list[dict[str, Any]], rules: tuple[str, ...]) -> dict[str, Any]:
    return {
        "rule_files": [f"../rules/{name}" for name in rules],
        "evaluation_interval": interval,
        # Without it the order is arbitrary, and an alert may use series of the previous evaluation.
        "group_eval_order": [*SERVICE_GROUPS, *MODEL_GROUPS, ALERT_GROUP],
        "tests": tests,
    }


def _series(series: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"series": name, "values": values} for name, values in series.items()]


def _expected(name: str, value: float | None) -> dict[str, Any]:
    if value is None:
        return {"expr": name, "eval_time": RECORDING_EVAL_TIME}
    if float(value).is_integer() and "(" not in name:
        return {
            "expr": name,
            "eval_time": RECORDING_EVAL_TIME,
            "exp_samples": [{"labels": name, "value": value}],
        }
    return {
        "expr": f"abs({name} - {value!r}) < bool {TOLERANCE}",
        "eval_time": RECORDING_EVAL_TIME,
        "exp_samples": [{"labels": "{}", "value": 1}],
    }
