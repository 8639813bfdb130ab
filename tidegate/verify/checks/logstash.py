"""Logstash, by its monitoring API: its health, its pipelines, its queues and its dead letters."""

from __future__ import annotations

from typing import Any, Final

import yaml

from tidegate.observability_files.paths import observability_folder
from tidegate.verify.peer import Peer, PeerError
from tidegate.verify.results import Result, count, failed, judged, ok, skipped
from tidegate.verify.target import Target

FULL: Final = 0.8
"""From this share of its capacity a queue counts as full."""


async def check(target: Target) -> list[Result]:
    """Ask Logstash for its health report, then for the statistics of its pipelines."""
    url = target.settings.exporter.logstash_url
    if not url:
        return [skipped("all checks", "exporter.logstash_url is not set: no Logstash")]
    logstash = target.peer(url)
    report = await _health(logstash)
    pipelines = (await logstash.get("/_node/stats/pipelines"))["pipelines"]
    return [report, _pipelines(pipelines), _queues(pipelines), _dead_letters(pipelines)]


async def _health(logstash: Peer) -> Result:
    node = await logstash.get("/")
    try:
        report = await logstash.get("/_health_report")
    except PeerError:
        report = node  # before 8.16 there is no report, only the status
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
    wanted = [one["pipeline.id"] for one in configured]
    problems = [f"{name} does not run" for name in wanted if name not in pipelines]
    for name, one in pipelines.items():
        if failures := (one.get("reloads") or {}).get("failures"):
            problems.append(f"{name}: {count(failures, 'failed reload')}")
    events = ", ".join(
        f"{name} {(pipelines[name].get('events') or {}).get('out', 0)}"
        for name in wanted
        if name in pipelines
    )
    return judged("pipelines", problems, f"events out: {events}", f"{len(problems)} problems")


def _queues(pipelines: dict[str, Any]) -> Result:
    problems, texts = [], []
    for name, one in pipelines.items():
        queue = one.get("queue") or {}
        size, capacity = (
            queue.get("queue_size_in_bytes", 0),
            queue.get("max_queue_size_in_bytes", 0),
        )
        if capacity and size >= FULL * capacity:
            problems.append(f"{name}: {size / capacity:.0%} of its capacity is used")
        texts.append(f"{name} {queue.get('events_count', 0)}")
    return judged(
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
        return failed("dead letters", f"{count(dropped, 'event')} lost: the queue had no room")
    if waiting:
        return ok(
            "dead letters", f"{waiting} bytes; the pipeline dead-letters makes events of them"
        )
    return ok("dead letters", "none")
