"""Queries to a running Prometheus from tests and benches that are not asynchronous."""

from __future__ import annotations

import json
import urllib.request
from typing import Any
from urllib.parse import urlencode

SECONDS = 60.0


def read(url: str, path: str) -> Any:
    """The data at a path of the HTTP API of the Prometheus at a URL, such as `alerts`."""
    with urllib.request.urlopen(f"{url}/api/v1/{path}", timeout=SECONDS) as answer:
        return json.load(answer)["data"]


def samples(url: str, expression: str) -> list[dict[str, Any]]:
    """The samples of an instant query, as Prometheus writes them."""
    found: list[dict[str, Any]] = read(url, f"query?{urlencode({'query': expression})}")["result"]
    return found


def value(url: str, expression: str) -> float | None:
    """The first value of an expression; None if there is none."""
    found = samples(url, expression)
    return float(found[0]["value"][1]) if found else None
