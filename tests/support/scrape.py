"""One value of what a program offers to Prometheus."""

from __future__ import annotations

import urllib.request

from tidegate.runtime.metrics_text import sample_value


def scrape(port: int, name: str, *, host: str = "127.0.0.1", **labels: str) -> float | None:
    """The value of a series at `/metrics` of a port; None if there is no such series."""
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=60) as answer:
        return sample_value(answer.read().decode(), name, **labels)
