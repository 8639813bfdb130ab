"""The exporter of a running stack, scraped by its Prometheus, with a double of Logstash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from aiohttp import web

from support.checkout import ROOT
from support.doubles.aiohttp_server import serving
from support.eventually import eventually
from support.processes.running_stack import Stack
from tidegate.rules.prometheus_config import render_config
from tidegate.stack.data_folder import Layout


def statistics(requests: int) -> dict[str, Any]:
    """The response of Logstash 9.2.8's `/_node/stats/pipelines`, shortened; it grows with each request."""
    done = 100 * requests
    documents = {"successes": done, "non_retryable_failures": requests, "dlq_routed": 0}
    bulk = {"successes": requests, "responses": {"200": requests}}
    return {
        "version": "9.2.8",
        "pipelines": {
            "main": {
                "events": {"in": done + 7, "filtered": done + 5, "out": done},
                "flow": {"queue_backpressure": {"current": 0.0, "lifetime": 0.01}},
                "plugins": {
                    "outputs": [
                        {
                            "id": "events",
                            "name": "elasticsearch",
                            "documents": documents,
                            "bulk_requests": bulk,
                        }
                    ]
                },
                "queue": {
                    "type": "persisted",
                    "events_count": 7,
                    "queue_size_in_bytes": 5043,
                    "max_queue_size_in_bytes": 536870912,
                },
                "dead_letter_queue": {"queue_size_in_bytes": 1, "dropped_events": 0},
            }
        },
    }


@contextmanager
def logstash() -> Iterator[str]:
    """A double of the monitoring API; yields its URL."""
    requests = count(1)

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(statistics(next(requests)))

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    with serving(app) as url:
        yield url


@contextmanager
def exporting(stack: Stack) -> Iterator[None]:
    """Run the exporter with the stack's settings, and add it to the stack's Prometheus."""
    exporter = subprocess.Popen(
        [sys.executable, "-m", "tidegate", "exporter"], env=stack.environment, cwd=ROOT
    )
    try:
        config = Layout(stack.settings.stack.data_dir).prometheus / "prometheus.yml"
        config.write_text(render_config(stack.settings, hosts={"exporter": "127.0.0.1"}))
        pids = {part["id"]: part["pid"] for part in stack.status()["components"]}
        os.kill(pids["prometheus"], signal.SIGHUP)
        eventually(lambda: stack.query("tidegate_logstash_up == 1"), "the exporter is scraped")
        yield
    finally:
        exporter.terminate()
        assert exporter.wait(timeout=60) == 0
