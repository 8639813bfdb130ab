"""Prometheus: its targets, its rules, and the alerts that fire."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any, Final

import yaml

from tidegate.rules.drift_alerts import drift_alerts
from tidegate.rules.rule_files import rule_files
from tidegate.settings import Settings
from tidegate.verify.peer import Peer
from tidegate.verify.results import Result, count, judged
from tidegate.verify.target import Target

GRAVE: Final = frozenset({"critical", "warning"})
"""The severities that our alerts have; any other is a person's own."""


async def check(target: Target) -> list[Result]:
    """Ask Prometheus for its targets, rules and alerts."""
    prometheus = target.peer(target.prometheus)
    groups = (await prometheus.get("/api/v1/rules"))["data"]["groups"]
    return [
        await _targets(target, prometheus),
        _rules(target.settings, groups),
        await _alerts(target.settings, prometheus),
    ]


async def _targets(target: Target, prometheus: Peer) -> Result:
    pools = (await prometheus.get("/api/v1/scrape_pools"))["data"]["scrapePools"]
    active = (await prometheus.get("/api/v1/targets?state=active"))["data"]["activeTargets"]
    there: Counter[str] = Counter(one["scrapePool"] for one in active)
    problems = [
        f"{one['labels']['job']}: {one['scrapeUrl']} is {one['health']}: {one['lastError'] or 'not read yet'}"
        for one in active
        if one["health"] != "up"
    ]
    # With replicas.min = 0 the service may have no replica.
    needed = set(pools) - ({"model"} if target.settings.replicas.min == 0 else set())
    problems += [f"{job}: no target" for job in sorted(needed - there.keys())]
    if not pools:  # as for some seconds after its start
        problems.append("it has no scrape job yet")
    up = len(active) - sum(one["health"] != "up" for one in active)
    jobs = ", ".join(sorted(there))
    return judged(
        "targets", problems, f"{up} of {len(active)} up: {jobs}", f"{up} of {len(active)} up"
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
    # One that was not evaluated yet, which takes a minute for the slowest, has no health.
    problems += [
        f"{rule['name']}: {rule['lastError']}" for rule in rules if rule["health"] == "err"
    ]
    recording = sum(rule["type"] == "recording" for rule in rules)
    coming = sum(rule["health"] == "unknown" for rule in rules)
    fine = f"{count(recording, 'recording rule')} and {count(len(rules) - recording, 'alert')}"
    fine += f", {coming} not evaluated yet" if coming else ", all evaluated"
    return judged("rules", problems, fine, f"{len(problems)} of {len(rules)} are wrong")


async def _alerts(settings: Settings, prometheus: Peer) -> Result:
    """An alert of ours about the stack fails; one about the model's data, or a person's own, does not."""
    alerts = (await prometheus.get("/api/v1/alerts"))["data"]["alerts"]
    about_model = {alert.name for alert in drift_alerts(settings.drift)}
    firing: defaultdict[bool, set[str]] = defaultdict(set)
    for alert in alerts:
        if alert["state"] == "firing":
            labels = alert["labels"]
            expected = labels["alertname"] in about_model or labels.get("severity") not in GRAVE
            text = f"{labels['alertname']}: {alert['annotations'].get('summary', 'no summary')}"
            firing[expected].add(text)
    expected_names = ", ".join(sorted(text.partition(":")[0] for text in firing[True]))
    fine = f"firing, none about the stack: {expected_names}" if expected_names else "none is firing"
    number = len(firing[False])
    verb = "is" if number == 1 else "are"
    return judged("alerts", sorted(firing[False]), fine, f"{count(number, 'alert')} {verb} firing")
