"""A real Elasticsearch that the collector delivers to: CPU of both, and the bytes that an event takes."""

from __future__ import annotations

import json
import subprocess
import tempfile
import urllib.request
from pathlib import Path
from typing import Final

from bench.collector import Result
from bench.collector import measure as deliver
from bench.gateway import free_port
from bench.unit_costs.cpu import cpu_seconds, tree
from bench.unit_costs.record import Cost, measured
from tidegate.settings import Settings

PART: Final = "elasticsearch"
SCRIPT: Final = Path(__file__).parents[2] / "scripts" / "elasticsearch"
WARM_UP: Final = 15_000
EVENTS: Final = 30_000
BATCH: Final = 1000


def measure() -> list[Cost]:
    """Deliver events to a server that is warm."""
    folder = Path(tempfile.mkdtemp(prefix="tidegate-elasticsearch-"))
    folder.chmod(0o755)  # Elasticsearch runs as another user
    port = free_port()
    subprocess.run(
        [SCRIPT, "start", "--port", str(port), "--data", folder], check=True, timeout=300
    )
    try:
        pid = int((folder / "pid").read_text())
        url = f"http://127.0.0.1:{port}"
        store = {"kind": "elasticsearch", "elasticsearch": {"url": url}}
        settings = Settings.model_validate({"store": store})
        deliver("elasticsearch", settings, WARM_UP, BATCH)
        before, bytes_before = cpu_seconds(tree(pid)), stored(url)
        result = deliver("elasticsearch", settings, EVENTS, BATCH)
        size = (stored(url) - bytes_before) / EVENTS
        cpu = (cpu_seconds(tree(pid)) - before) / EVENTS
    finally:
        subprocess.run([SCRIPT, "stop", "--data", folder], check=True, timeout=120)
    embedded = deliver("embedded", Settings(), EVENTS, BATCH)
    note = f"batches of {BATCH:,}, {EVENTS:,} events, 512 MB heap, one node"
    figures = (
        (
            "elasticsearch: CPU of an event",
            cpu * 1e6,
            "µs/event",
            f"{note}; with merges and some searches",
        ),
        ("elasticsearch: bytes of an event", size, "B/event", "one copy, merged to one segment"),
        ("collector: CPU of an event", per_event(result), "µs/event", "to Elasticsearch"),
        (
            "collector: CPU of an event, embedded store",
            per_event(embedded),
            "µs/event",
            "with indexing",
        ),
    )
    return [measured(PART, *figure) for figure in figures]


def per_event(result: Result) -> float:
    """CPU of the collector in µs per event."""
    return result.cpu_seconds / EVENTS * 1e6


def stored(url: str) -> float:
    """Bytes of all event streams, each merged to one segment and flushed."""
    for action in ("_forcemerge?max_num_segments=1&flush=true", "_refresh"):
        request = urllib.request.Request(f"{url}/*-tidegate.*/{action}", method="POST")  # noqa: S310
        urllib.request.urlopen(request, timeout=120).close()  # noqa: S310
    with urllib.request.urlopen(f"{url}/*-tidegate.*/_stats/store") as answer:  # noqa: S310
        return float(json.load(answer)["_all"]["primaries"]["store"]["size_in_bytes"])
