"""Logstash: its health, pipelines, queues and dead letters, from its monitoring API."""

from __future__ import annotations

from typing import Any, Final

import yaml

from tidegate.checks.running.target import Target
from tidegate.observability_files.paths import observability_folder
from tidegate.runtime.check_results import Result, count, failed, ok, result_from, skipped
from tidegate.runtime.http_client import HttpClient

MAX_QUEUE_FRACTION: Final = 0.8
"""A queue that uses this fraction of its capacity fails the check."""


async def check(target: Target) -> list[Result]:
    """Check Logstash's health report, then the statistics of its pipelines."""
    url = target.settings.exporter.logstash_url
    if not url:
        return [skipped("all checks", "exporter.logstash_url is not set: no Logstash")]
    logstash = target.client(url)
    report = await _health(logstash)
    pipelines = (await logstash.get("/_node/stats/pipelines"))["pipelines"]
    return [report, _pipelines(pipelines), _queues(pipelines), _dead_letters(pipelines)]


async def _health(logstash: HttpClient) -> Result:
    node = await logstash.get("/")
    report = await logstash.get("/_health_report")
    status = report.get("status", "unknown")
    text = f"Logstash {node['version']} is {status}"
    symptoms = [
        f"{name}: {one.get('symptom', one.get('status', ''))}"
        for name, one in report.get("indicators", {})
        .get("pipelines", {})
        .get("indicators", {})
        .items()
        if one.get("status") != "green"
    ]
    return ok("health", text) if status == "green" else failed("health", text, symptoms)


def _pipelines(pipelines: dict[str, Any]) -> Result:
    configured = yaml.safe_load(
        (observability_folder() / "logstash" / "pipelines.yml").read_text("utf-8")
    )
    expected = [one["pipeline.id"] for one in configured]
    problems = [f"{name} is not running" for name in expected if name not in pipelines]
    for name, one in pipelines.items():
        if failures := (one.get("reloads") or {}).get("failures"):
            problems.append(f"{name}: {count(failures, 'failed reload')}")
    events = ", ".join(
        f"{name} {(pipelines[name].get('events') or {}).get('out', 0)}"
        for name in expected
        if name in pipelines
    )
    return result_from("pipelines", problems, f"events out: {events}", f"{len(problems)} problems")


def _queues(pipelines: dict[str, Any]) -> Result:
    problems, texts = [], []
    for name, one in pipelines.items():
        queue = one.get("queue") or {}
        size, capacity = (
            queue.get("queue_size_in_bytes", 0),
            queue.get("max_queue_size_in_bytes", 0),
        )
        if capacity and size >= MAX_QUEUE_FRACTION * capacity:
            problems.append(f"{name}: {size / capacity:.0%} of its capacity is used")
        texts.append(f"{name} {queue.get('events_count', 0)}")
    return result_from(
        "queues", problems, f"events waiting: {', '.join(texts)}", "a queue is nearly full"
    )


def _dead_letters(pipelines: dict[str, Any]) -> Result:
    dropped, waiting = 0, 0
    for one in pipelines.values():
        letters = one.get("dead_letter_queue") or {}
        dropped += letters.get("dropped_events", 0)
        # An empty queue has one byte, its version, in each of its files.
        waiting += max(0, letters.get("queue_size_in_bytes", 0) - 1)
    if dropped:
        return failed(
            "dead letters", f"{count(dropped, 'event')} lost: the dead letter queue was full"
        )
    if waiting:
        return ok(
            "dead letters", f"{waiting} bytes; the pipeline dead-letters turns them into events"
        )
    return ok("dead letters", "none")
