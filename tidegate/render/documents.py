"""The texts of the generated files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import yaml

from tidegate.render.alert import Alert
from tidegate.render.alert_case import Case
from tidegate.render.model_rules import MODEL_GROUPS
from tidegate.render.promql import duration
from tidegate.render.recording import RECORDING_GROUPS, Group
from tidegate.render.recording_cases import AT, RecordingCase
from tidegate.settings.commands import as_text

SERVICE_RULES: Final = ("service.yml", "alerts.yml")
MODEL_RULES: Final = ("model.yml", "alerts.yml")
EVALUATED_EVERY: Final = {"1m": "5m"}
ALERT_GROUP: Final = "alerts"
ALERT_INTERVAL_SECONDS: Final = 5.0
# promtool compares values to the last bit; a rate is a sum of differences times a factor.
TOLERANCE: Final = 1e-9
SETTINGS_INTRODUCTION: Final = (
    "They stand in `tidegate.toml` (or the file that `TIDEGATE_CONFIG` names); an environment variable wins "
    "over it. `tidegate settings` shows those in force and where each value comes from. An unknown or bad "
    "setting stops the start with its name and the reason."
)
NOTE: Final = "Written by `tidegate render` from tidegate/render/: change it there."


def recording_rules(groups: Iterable[Group]) -> str:
    """observability/prometheus/rules/service.yml, model.yml."""
    return _yaml({"groups": [_group(group) for group in groups]})


def alerting_rules(alerts: Iterable[Alert]) -> str:
    """observability/prometheus/rules/alerts.yml."""
    rules = [
        {
            "alert": alert.name,
            "expr": alert.expression,
            **({"for": duration(alert.seconds)} if alert.seconds else {}),
            "labels": {"severity": alert.severity},
            "annotations": _annotations(alert, None),
        }
        for alert in alerts
    ]
    group = {"name": ALERT_GROUP, "interval": duration(ALERT_INTERVAL_SECONDS), "rules": rules}
    return _yaml({"groups": [group]})


def recording_tests(cases: Iterable[RecordingCase], rules: tuple[str, ...] = SERVICE_RULES) -> str:
    """observability/prometheus/tests/service.yml, model.yml."""
    tests = [
        {
            "name": case.story,
            "interval": "2s",
            "input_series": _series(case.series),
            "promql_expr_test": [_expected(name, value) for name, value in case.expected.items()],
        }
        for case in cases
    ]
    return _yaml(_tests("15s", tests, rules))


def alerting_tests(
    alerts: Iterable[Alert],
    cases: Iterable[Case],
    interval: str,
    rules: tuple[str, ...] = SERVICE_RULES,
) -> str:
    """observability/prometheus/tests/alerts.yml, burns.yml, model_alerts.yml.

    Args:
        alerts: those that the cases are of.
        cases: those with this interval between samples are written.
        interval: as promtool writes it.
        rules: the files of rules that they need: all of them would be evaluated for each test.
    """
    # promtool evaluates all tests of a file at one interval; six hours evaluated each 15 s take long.
    every = EVALUATED_EVERY.get(interval, interval)
    by_name = {alert.name: alert for alert in alerts}
    tests = [
        {
            "name": f"{case.alert} {'fires' if case.fires else 'is silent'}: {case.story}",
            "interval": case.interval,
            "input_series": _series(case.series),
            "alert_rule_test": [_outcome(by_name[case.alert], case)],
        }
        for case in cases
        if case.interval == interval
    ]
    return _yaml(_tests(every, tests, rules))


def settings_page(names: Mapping[str, tuple[Any, str]]) -> str:
    """docs/reference/settings.md.

    Args:
        names: the default and the meaning of each setting, by its dotted name.
    """
    lines = [
        f"<!-- {NOTE} -->",
        "# Settings",
        "",
        SETTINGS_INTRODUCTION,
    ]
    section = ""
    for name, (default, meaning) in names.items():
        table, _, _ = name.rpartition(".")
        if table != section:
            section = table
            lines += [
                "",
                f"## [{table}]",
                "",
                "| setting | default | meaning |",
                "| --- | --- | --- |",
            ]
        variable = "TIDEGATE_" + name.upper().replace(".", "__")
        key = f"`{name}`<br>`{variable}`"
        lines.append(f"| {key} | `{as_text(default)}` | {_cell(meaning)} |")
    return "\n".join(lines) + "\n"


def _group(group: Group) -> dict[str, Any]:
    interval = group.interval_seconds
    return {
        "name": group.name,
        **({"interval": duration(interval)} if interval else {}),
        "rules": [{"record": each.name, "expr": each.expression} for each in group.recordings],
    }


def _annotations(alert: Alert, labels: Mapping[str, str] | None) -> dict[str, str]:
    """The annotations; with the labels of a series filled in if there are any."""
    written = {
        "summary": alert.summary,
        "description": alert.description,
        "runbook": alert.runbook,
    }
    if labels is None:
        return written
    return {
        name: re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels[found[1]], text)
        for name, text in written.items()
    }


def _outcome(alert: Alert, case: Case) -> dict[str, Any]:
    outcome: dict[str, Any] = {"eval_time": case.at, "alertname": alert.name}
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
        # Else the order is left to chance, and an alert may look at what was recorded one round before.
        "group_eval_order": [*RECORDING_GROUPS, *MODEL_GROUPS, ALERT_GROUP],
        "tests": tests,
    }


def _series(series: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"series": name, "values": values} for name, values in series.items()]


def _expected(name: str, value: float | None) -> dict[str, Any]:
    if value is None:
        return {"expr": name, "eval_time": AT}
    if float(value).is_integer() and "(" not in name:
        return {"expr": name, "eval_time": AT, "exp_samples": [{"labels": name, "value": value}]}
    return {
        "expr": f"abs({name} - {value!r}) < bool {TOLERANCE}",
        "eval_time": AT,
        "exp_samples": [{"labels": "{}", "value": 1}],
    }


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block, as a person would."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
# promtool and Prometheus read YAML without anchors as well, but people read it better.
_Dumper.ignore_aliases = lambda *_: True  # type: ignore[method-assign]


def _yaml(content: Mapping[str, Any]) -> str:
    body = yaml.dump(dict(content), Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)
    return f"# {NOTE}\n{body}"
