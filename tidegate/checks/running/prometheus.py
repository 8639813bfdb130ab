"""Prometheus: its targets, its rules, and the alerts that fire."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any, Final

import yaml

from tidegate.checks.running.target import Target
from tidegate.rules.model_alerts import model_alerts
from tidegate.rules.rule_files import rule_files
from tidegate.runtime.check_results import Result, count, result_from
from tidegate.runtime.http_client import HttpClient
from tidegate.settings import Settings

SEVERITIES: Final = frozenset({"critical", "warning"})
"""The severities of Tidegate's alerts; other severities are user-defined."""


async def check(target: Target) -> list[Result]:
    """Check Prometheus' targets, rules and alerts."""
    prometheus = target.client(target.prometheus)
    groups = (await prometheus.get("/api/v1/rules"))["data"]["groups"]
    return [
        await _targets(target, prometheus),
        _rules(target.settings, groups),
        await _alerts(target.settings, prometheus),
    ]


async def _targets(target: Target, prometheus: HttpClient) -> Result:
    pools = (await prometheus.get("/api/v1/scrape_pools"))["data"]["scrapePools"]
    active = (await prometheus.get("/api/v1/targets?state=active"))["data"]["activeTargets"]
    jobs: Counter[str] = Counter(one["scrapePool"] for one in active)
    problems = [
        f"{one['labels']['job']}: {one['scrapeUrl']} is {one['health']}: "
        f"{one['lastError'] or 'not scraped yet'}"
        for one in active
        if one["health"] != "up"
    ]
    # With replicas.min = 0 the service may have no replica.
    needed = set(pools) - ({"model"} if target.settings.replicas.min == 0 else set())
    problems += [f"{job}: no target" for job in sorted(needed - jobs.keys())]
    if not pools:  # for some seconds after its start
        problems.append("there is no scrape job yet")
    up = len(active) - sum(one["health"] != "up" for one in active)
    names = ", ".join(sorted(jobs))
    return result_from(
        "targets", problems, f"{up} of {len(active)} up: {names}", f"{up} of {len(active)} up"
    )


def _rules(settings: Settings, groups: list[dict[str, Any]]) -> Result:
    rules = [rule for group in groups for rule in group["rules"]]
    expected = {
        rule.get("record") or rule["alert"]
        for text in rule_files(settings).values()
        for group in yaml.safe_load(text)["groups"]
        for rule in group["rules"]
    }
    missing = sorted(expected - {rule["name"] for rule in rules})
    problems = [f"{name} is not loaded" for name in missing]
    # Until its first evaluation, after up to a minute, a rule has no health.
    problems += [
        f"{rule['name']}: {rule['lastError']}" for rule in rules if rule["health"] == "err"
    ]
    recording = sum(rule["type"] == "recording" for rule in rules)
    pending = sum(rule["health"] == "unknown" for rule in rules)
    text = f"{count(recording, 'recording rule')} and {count(len(rules) - recording, 'alert')}"
    text += f", {pending} not evaluated yet" if pending else ", all evaluated"
    return result_from("rules", problems, text, f"{len(problems)} of {len(rules)} are wrong")


async def _alerts(settings: Settings, prometheus: HttpClient) -> Result:
    """A firing alert about the stack fails; one about the model's data or a user-defined one does not."""
    alerts = (await prometheus.get("/api/v1/alerts"))["data"]["alerts"]
    about_model = {alert.name for alert in model_alerts(settings.drift)}
    firing: defaultdict[bool, set[str]] = defaultdict(set)
    for alert in alerts:
        if alert["state"] == "firing":
            labels = alert["labels"]
            expected = (
                labels["alertname"] in about_model or labels.get("severity") not in SEVERITIES
            )
            text = f"{labels['alertname']}: {alert['annotations'].get('summary', 'no summary')}"
            firing[expected].add(text)
    expected_names = ", ".join(sorted(text.partition(":")[0] for text in firing[True]))
    ok_text = (
        f"firing, none about the stack: {expected_names}" if expected_names else "none is firing"
    )
    number = len(firing[False])
    verb = "is" if number == 1 else "are"
    return result_from(
        "alerts", sorted(firing[False]), ok_text, f"{count(number, 'alert')} {verb} firing"
    )
