"""The table and the picture of the comparison."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure

from bench.engines.catalogue import ENGINES
from bench.engines.measures import Measured
from bench.results import Result, result

BASE: Final = "Tidegate, FastAPI application"
OURS: Final = "Tidegate, model service"
# Three times as many requests a second and core; of MLServer, which has no gateway, half as many again.
CPU_TARGETS: Final = {"MLServer": 1 / 1.5, "BentoML": 1 / 3, "Ray Serve 2.60, HAProxy": 1 / 3}
P99_TARGET: Final = 0.5


def table(found: dict[str, Measured], slots: int) -> str:
    """Medians, in brackets the range, in Markdown."""
    date = time.strftime("%Y-%m-%d")
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    columns = ("engine", "CPU per request", "of it in the path", "ratio", "requests/s per core")
    lines = [
        f"Measured on {date}, {machine}; 1 replica of {slots} slots, 1 row a request.",
        "",
        f"| {' | '.join((*columns, 'at rest', 'memory', 'start'))} |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    base = statistics.median(found[BASE].path_us) if BASE in found else float("nan")
    for name, each in found.items():
        path = statistics.median(each.path_us)
        cells = [
            name, spread(each.cpu_us, "µs"), spread(each.path_us, "µs"), f"{path / base:.2f}",
            f"{1e6 / path:,.0f}", f"{statistics.median(each.rest):.1%}",
            f"{statistics.median(each.memory):,.0f} MiB", f"{statistics.median(each.start):.1f} s",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "| engine | answers at most | p50 at half of it | p99 | objective kept after an overload |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, each in found.items():
        kept = f"{statistics.median(each.objective):.0f} s" if each.objective else ""
        cells = [
            name, spread(each.capacity, "/s"), spread([1e3 * p for p in each.p50], "ms"),
            spread([1e3 * p for p in each.p99], "ms"), kept.replace("inf s", "not within 120 s"),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| engine | settings | better than Tidegate at |", "| --- | --- | --- |"]
    lines += [
        f"| {each.name} | {each.settings} | {each.better} |"
        for each in ENGINES
        if each.name in found
    ]
    return "\n".join(lines)


def compared(found: dict[str, Measured], rows: int) -> list[Result]:
    """The model service beside each engine that is held against it."""
    ours, results = found[OURS], []
    for beginning, target in CPU_TARGETS.items():
        for name, peer in found.items():
            if name.startswith(beginning):
                of = f"{rows} row{'s' if rows > 1 else ''}: against {name}"
                results += [
                    result(
                        f"CPU of a request, {of}",
                        ours.cpu_us,
                        peer.cpu_us,
                        unit="µs",
                        target=target,
                    ),
                    result(
                        f"p99 at half of one's own capacity, {of}",
                        [1e3 * each for each in ours.p99],
                        [1e3 * each for each in peer.p99],
                        unit="ms",
                        target=P99_TARGET,
                    ),
                ]
    return results


def spread(values: Sequence[float], unit: str) -> str:
    """The median, and the least and the most."""
    if not values:
        return ""
    form: Callable[[float], str] = lambda value: f"{value:,.0f}" if value >= 10 else f"{value:.1f}"  # noqa: E731
    text = f"{form(statistics.median(values))} {unit}".replace(" /s", "/s")
    if len(values) > 1:
        text += f" ({form(min(values))} to {form(max(values))})"
    return text.replace("inf", "∞")


def picture(path: Path, found: dict[str, Measured]) -> None:
    """CPU per request, in the path and beside it, as bars."""
    names = list(found)[::-1]
    inside = [statistics.median(found[name].path_us) for name in names]
    beside = [
        max(0.0, statistics.median(found[name].cpu_us) - own)
        for name, own in zip(names, inside, strict=True)
    ]
    figure = Figure(figsize=(9, 0.55 * len(names) + 1.4), layout="constrained")
    axes = figure.subplots()
    axes.barh(names, inside, color="#2a6f97", label="in the path of the request")
    axes.barh(
        names, beside, left=inside, color="#a9d6e5", label="beside it: events, metrics, store"
    )
    for place, (own, other) in enumerate(zip(inside, beside, strict=True)):
        axes.text(own + other, place, f" {own + other:,.0f} µs", va="center", fontsize="small")
    longest = max(own + other for own, other in zip(inside, beside, strict=True))
    axes.set(xlabel="µs of CPU per request, all processes", xlim=(0, 1.14 * longest))
    axes.legend(fontsize="small", loc="upper right")
    figure.savefig(path, dpi=100)
