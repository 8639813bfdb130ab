"""What a load needs, component by component, and which component is the first that one machine cannot hold.

    python -m bench.scaling_out                              10 to 100,000 requests a second
    python -m bench.scaling_out --rates 300 3000 --rows 32 --sampling 0.01 --node-cores 8

Arithmetic on measured unit costs: of a request from `make bench-stack`, of an event from
`python -m bench.collector`, Logstash's, which docs/explanation/event-pipeline.md reports, and the others in
bench/results/unit_costs.json with the machine and date of each (commit cbab0cc3 has what measured them). It
assumes that costs grow in proportion to the load; nobody here has run 10,000 requests a second.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench.results import FOLDER
from tidegate.autoscaler.sloq.queueing import slots_needed
from tidegate.settings.scaling import MAX_REPLICAS

REQUEST: Final = "replica: CPU of a request with 1 row"
GATEWAY: Final = "gateway: CPU of a request"
COLLECTOR: Final = "collector: CPU of an event"
ROW: Final = "replica: CPU of a further row"
RATES: Final = (10, 100, 1_000, 10_000, 100_000)
# Above this share of its CPU a component queues noticeably, and has nothing left for a burst or a restart.
BUSY_SHARE: Final = 0.7
# Mean of 188 and 224 µs: Logstash 9.2.8 with batches of 125 events, docs/explanation/event-pipeline.md.
LOGSTASH_US: Final = 206.0
LATE_SHARE: Final = 0.005  # SLOQ's
DAY: Final = 86_400
PROPORTIONAL_RATE: Final = 10_000.0


@dataclass(frozen=True, slots=True)
class Load:
    """What arrives, and how it is configured.

    Attributes:
        rate: requests a second.
        rows: of a request.
        sampling: fraction of requests whose spans are recorded (`telemetry.sample_ratio`).
        service_seconds: mean time of a request in a slot.
        slo_seconds: the objective (`slo.latency_seconds`).
        slots: of a replica (`slots.per_replica`).
        scrape_seconds: `prometheus.scrape_seconds`.
        retention_days: of events and samples.
        model: whether a replica exports the series of the flights model.
    """

    rate: float
    rows: int = 1
    sampling: float = 0.05
    service_seconds: float = 0.02
    slo_seconds: float = 0.5
    slots: int = 2
    scrape_seconds: float = 2.0
    retention_days: float = 7.0
    model: bool = True


@dataclass(frozen=True, slots=True)
class Machine:
    """The largest machine that one component has for itself."""

    cores: float
    disk_bytes: float
    memory_bytes: float


@dataclass(frozen=True, slots=True)
class Need:
    """What it takes. `cores` is by component; `replicas` follows from CPU and slots."""

    replicas: int
    cores: dict[str, float]
    events: float
    event_bytes: float
    stored_bytes: float
    series: float
    samples: float
    prometheus_bytes: float
    sample_bytes: float


def unit_costs() -> dict[str, float]:
    """The unit costs by name, times in µs."""

    def saved(name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
        return found

    measured = {
        each["name"]: each["ours"] for name in ("stack", "collector") for each in saved(name)
    }
    one, many = (
        measured[f"replica, {rows}: against a plain handler"] for rows in ("1 row", "64 rows")
    )
    return {each["name"]: each["value"] for each in saved("unit_costs")} | {
        REQUEST: one,
        ROW: (many - one) / 63,
        GATEWAY: measured["gateway, 1 row: against HAProxy with one line"],
        COLLECTOR: measured[
            "into Elasticsearch, batches of 4,000, CPU: against `parallel_bulk` from memory"
        ],
    }


def need(load: Load, costs: dict[str, float]) -> Need:
    """What a load needs.

    Args:
        load: the load.
        costs: the unit costs by name, times in µs.
    """
    request_us = costs[REQUEST] + (load.rows - 1) * costs[ROW]
    serving = load.rate * request_us / 1e6
    # A replica's CPU time is part of the time in the slot, and one process has one core.
    held = max(load.service_seconds, request_us / 1e6)
    patience = max(0.15 * load.slo_seconds, load.slo_seconds - 2 * held) / held
    slots = slots_needed(load.rate * held, patience, LATE_SHARE, utilisation=0.97, max_slots=10**7)
    replicas = max(1, math.ceil(slots / load.slots), math.ceil(serving / BUSY_SHARE))

    spans = load.sampling * costs["event: spans of a recorded trace"]
    events = load.rate * (1 + spans)
    bytes_each = costs["event: bytes of a request event"] + spans * costs["event: bytes of a span"]
    per_replica = costs["series of a replica, without a model"] + (
        costs["series of a replica, of its model"] if load.model else 0
    )
    scraped = (
        replicas * (per_replica + costs["series of the gateway for a replica"])
        + costs["series of the gateway itself"]
    )
    series = scraped + costs["recorded series"]
    samples = series / load.scrape_seconds
    rules = (
        replicas * costs["prometheus: CPU of the rules for a replica"] / 1e3 if load.model else 0
    )
    cores = {
        "replicas": serving,
        "gateway": load.rate * costs[GATEWAY] / 1e6
        + replicas * costs["gateway: CPU of checking a replica"] / 1e6,
        "access log": load.rate * costs["access log: CPU of a line"] / 1e6,
        "collector": events * costs[COLLECTOR] / 1e6,
        "Logstash": events * LOGSTASH_US / 1e6,
        "Elasticsearch": events * costs["elasticsearch: CPU of an event"] / 1e6,
        "Prometheus": samples * costs["prometheus: CPU of a sample"] / 1e6 + rules,
    }
    return Need(
        replicas,
        cores,
        events,
        load.rate * bytes_each,
        events * costs["elasticsearch: bytes of an event"] * load.retention_days * DAY,
        series,
        samples,
        series * costs["prometheus: memory of a series"],
        samples * costs["prometheus: bytes of a sample"] * load.retention_days * DAY,
    )


def limits(load: Load, costs: dict[str, float], machine: Machine) -> list[tuple[float, str, str]]:
    """The rate at which each component reaches its limit, lowest first: rate, component, limit.

    What is needed is taken to be in proportion to the rate, as it is at `PROPORTIONAL_RATE`.
    """
    got = need(replace(load, rate=PROPORTIONAL_RATE), costs)
    alone = {"gateway": "one thread (nbthread 1)", "collector": "one Python process"}
    alone["access log"] = alone["collector"]
    needs = [
        (
            used / (1.0 if name in alone else machine.cores),
            BUSY_SHARE,
            name,
            f"{BUSY_SHARE:.0%} of {alone.get(name, f'a machine of {machine.cores:g} cores')}",
        )
        for name, used in got.cores.items()
    ]
    needs += [
        (got.replicas, MAX_REPLICAS, "replicas.max", f"{MAX_REPLICAS} replicas a stack"),
        (
            got.stored_bytes,
            BUSY_SHARE * machine.disk_bytes,
            "Elasticsearch, disk",
            f"{BUSY_SHARE:.0%} of a disk of {size(machine.disk_bytes)}",
        ),
        (
            got.prometheus_bytes,
            BUSY_SHARE * machine.memory_bytes,
            "Prometheus, memory",
            f"{BUSY_SHARE:.0%} of a memory of {size(machine.memory_bytes)}",
        ),
    ]
    return sorted(
        (PROPORTIONAL_RATE * most / value, name, limit) for value, most, name, limit in needs
    )


def main() -> None:
    """Print what each rate needs, and what stops first."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rates", type=float, nargs="+", default=RATES, help="requests a second")
    parser.add_argument("--rows", type=int, default=1, help="of a request")
    parser.add_argument("--sampling", type=float, default=0.05, help="telemetry.sample_ratio")
    parser.add_argument("--request-us", type=float, help="CPU of your replica for a request, 1 row")
    parser.add_argument("--service-ms", type=float, default=20.0, help="mean time in a slot")
    parser.add_argument("--slots", type=int, default=2, help="slots.per_replica")
    parser.add_argument(
        "--scrape-seconds", type=float, default=2.0, help="prometheus.scrape_seconds"
    )
    parser.add_argument("--retention-days", type=float, default=7.0, help="of events and samples")
    parser.add_argument("--node-cores", type=float, default=4.0, help="of a machine")
    parser.add_argument("--node-disk-gb", type=float, default=1000.0, help="of a machine")
    parser.add_argument("--node-memory-gb", type=float, default=16.0, help="of a machine")
    parser.add_argument("--no-model", action="store_true", help="replicas without series of drift")
    options = parser.parse_args()
    load = Load(
        0, options.rows, options.sampling, options.service_ms / 1e3, 0.5, options.slots,
        options.scrape_seconds, options.retention_days, not options.no_model,
    )  # fmt: skip
    machine = Machine(options.node_cores, options.node_disk_gb * 1e9, options.node_memory_gb * 1e9)
    costs = unit_costs()
    if options.request_us is not None:
        costs[REQUEST] = options.request_us
    needs = [need(replace(load, rate=rate), costs) for rate in options.rates]
    console = Console(width=150)
    console.print(needs_table(needs, options.rates))
    table = Table("component", "reaches its limit at", "the limit", title="what stops first")
    for rate, name, words in limits(load, costs, machine):
        table.add_row(name, f"{rounded(rate)} requests/s", words)
    console.print(table)


def needs_table(needs: list[Need], rates: Sequence[float]) -> Table:
    """A row for each quantity, a column for each rate."""
    table = Table("", *(f"{rate:,.0f}/s" for rate in rates), title="what a rate of requests needs")
    table.add_row("replicas", *(f"{got.replicas:,}" for got in needs))
    for name in needs[0].cores:
        table.add_row(f"{name}, cores", *(cores(got.cores[name]) for got in needs))
    rows: dict[str, Callable[[Need], str]] = {
        "events": lambda got: f"{rounded(got.events)}/s",
        "event lines": lambda got: f"{size(got.event_bytes)}/s",
        "Elasticsearch, one copy": lambda got: size(got.stored_bytes),
        "series": lambda got: rounded(got.series),
        "samples": lambda got: f"{rounded(got.samples)}/s",
        "Prometheus, memory": lambda got: size(got.prometheus_bytes),
        "Prometheus, disk": lambda got: size(got.sample_bytes),
    }
    for name, cell in rows.items():
        table.add_row(name, *(cell(got) for got in needs))
    return table


def cores(number: float) -> str:
    """Two significant digits; what is below a thousandth is 0."""
    if number < 0.001:
        return "0"
    return f"{number:.2g}" if number < 10 else f"{number:,.0f}"


def rounded(number: float) -> str:
    """Two significant digits, with thousands separators."""
    digits = max(0, math.floor(math.log10(number)) - 1) if number >= 1 else 0
    return f"{round(number / 10**digits) * 10**digits:,}"


def size(number: float) -> str:
    """Bytes, with a decimal prefix."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 1000 or unit == "TB":
            return f"{number:,.2g} {unit}" if number < 100 else f"{number:,.0f} {unit}"
        number /= 1000
    raise AssertionError


if __name__ == "__main__":
    main()
