"""Whether the number of replicas in Kubernetes follows Tidegate's decisions, and how soon after a step.

The ways of scaling in which Tidegate decides run side by side in one cluster, with the periods of the chart
and of Kubernetes (tests/support/kubernetes/faults: no pod runs, the application's metrics show the load).
The load first rises in steps, then it falls, rises and falls for ten minutes. Each tick of an autoscaler is
compared with `spec.replicas` just before the next tick. Exits with 1 if a higher number came too late after
a step, or if the number was too often not the decided one. Needs root, and what `scripts/kubernetes build`
builds.

    python bench/kubernetes_sizes.py --out sizes.md --plot sizes.png
    python bench/kubernetes_sizes.py --sync 5             where the HPA controller syncs each 5 s
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
sys.path[0] = str(ROOT)  # or bench/loadgen.py would hide the package
sys.path.insert(1, str(ROOT / "tests"))

from bench.running.following import Number, judge, lags, react  # noqa: E402
from support.eventually import eventually  # noqa: E402
from support.kubernetes.faults import application, arrangement  # noqa: E402
from support.kubernetes.faults.arrangement import Arrangement  # noqa: E402
from support.kubernetes.faults.columns import (  # noqa: E402
    EXTERNAL,
    METRICS_API,
    RESIZER,
    Column,
)
from support.kubernetes.faults.settings import USUAL  # noqa: E402
from tidegate.lab.simulator.plots import COLOURS  # noqa: E402

# What two autoscalers differ by that have nothing but the moments of their ticks to differ by.
AGAIN: Final = Column("again", "c once more", "resizer", 7)
COLUMNS: Final = (EXTERNAL, METRICS_API, RESIZER, AGAIN)
NATIVE: Final = RESIZER
# The number of the start follows few samples, and SLOQ waits 60 s before it takes such replicas again.
SETTLED_SECONDS: Final = 90.0
SETTLE_SECONDS: Final = 600.0
# Times the load of the application, which keeps three to four slots busy.
STEPS: Final = (1.3, 1.7, 2.2, 2.9, 3.7, 4.8, 6.3, 8.2)
# No multiple of a tick or of a sync period, or each step would come at the same moment of it.
STEP_SECONDS: Final = 47.0
# Seconds, and the load at the end of them: it changes evenly, or at once after 0 seconds.
VARYING: Final = (
    *((0, 2.5), (120, 2.5), (120, 6.0), (60, 6.0), (0, 3.0), (90, 3.0), (0, 5.0), (60, 5.0)),
    *((90, 1.5), (60, 1.5)),
)
EVERY_SECONDS: Final = 0.5
NEW_SIZE_SECONDS: Final = 30.0
EQUAL_SHARE: Final = 0.95


@dataclass(frozen=True)
class Load:
    """What the load was, in seconds since 1970.

    Attributes:
        shown: each change and the new load.
        steps: when a step of STEPS was, and the end of the last one.
        end: the end of the ten minutes, which begin with the last of `steps`.
    """

    shown: list[tuple[float, float]]
    steps: list[float]
    end: float


def vary(running: Arrangement) -> Load:
    """Let the load rise in steps, and then vary."""
    eventually(
        lambda: all(
            running.trace.steady_seconds(one.key) > SETTLED_SECONDS for one in running.columns
        ),
        "a number that stays",
        seconds=SETTLE_SECONDS,
        every=1.0,
    )
    shown: list[tuple[float, float]] = []

    def show(load: float) -> None:
        running.show(f"{load:.3f}")
        shown.append((time.time(), load))

    steps = []
    for load in STEPS:
        steps.append(time.time())
        show(load)
        _sleep_until(steps[-1] + STEP_SECONDS)
    steps.append(time.time())
    now, load = steps[-1], STEPS[-1]
    for seconds, goal in VARYING:
        begun, before = now, load
        now, load = begun + seconds, goal
        if not seconds:
            show(load)
        while time.time() < now:
            if goal != before:
                show(before + (goal - before) * min(1.0, (time.time() - begun) / seconds))
            _sleep_until(min(now, time.time() + EVERY_SECONDS))
    shown.append((now, load))
    return Load(shown, steps, now)


def _sleep_until(at: float) -> None:
    while (left := at - time.time()) > 0:
        time.sleep(left)


def decisions(running: Arrangement, column: Column) -> list[Number]:
    """The decisions of a column's autoscaler, from its event files."""
    found = []
    for file in running.folder.glob(f"{column.key}/{column.autoscaler}/**/*.ndjson"):
        for line in file.read_text().splitlines():
            event = json.loads(line)
            if event["event"]["dataset"] == "tidegate.decision":
                at = datetime.fromisoformat(event["@timestamp"]).timestamp()
                found.append(Number(at, int(event["tidegate"]["decision"]["desired"])))
    return sorted(found, key=lambda one: one.at)


def sizes(running: Arrangement, column: Column) -> list[Number]:
    """The changes of `spec.replicas` of a column's Deployment."""
    offset = time.time() - time.monotonic()
    return [Number(one.at + offset, one.replicas) for one in running.trace.since(column.key, 0.0)]


@dataclass(frozen=True)
class Followed:
    """What one column did.

    Attributes:
        column: the column.
        decided: its decisions.
        set: the changes of its number.
    """

    column: Column
    decided: list[Number]
    set: list[Number]


def table(followed: list[Followed], load: Load) -> tuple[str, bool]:
    """The results in Markdown, and whether all are good enough."""
    native = next((one.decided for one in followed if one.column is NATIVE), None)
    rows: dict[str, list[str]] = {}
    good = True
    begin, end = load.steps[-1], load.end
    for one in followed:
        ticks = judge(one.decided, one.set, begin, end)
        steps = [react(one.set, *pair) for pair in pairwise(load.steps)]
        first = [each.first_seconds for each in steps if each.first_seconds is not None]
        last = [each.last_seconds for each in steps if each.last_seconds is not None]
        cells = {
            "ticks of ten minutes with the decided number": share(ticks.equal, ticks.all),
            "of ticks that decided what the tick before did": share(
                ticks.unchanged_equal, ticks.unchanged
            ),
            "decided to set": spread(lags(one.decided, one.set, load.steps[0], end)),
            "steps of the load with a higher number": f"{len(first)} of {len(steps)}",
            "step to the first higher number": spread(first),
            "step to the last higher number before the next step": spread(last),
        }
        if native:
            crossed = judge(native, one.set, begin, end)
            cells["ticks with the number that c decided"] = share(crossed.equal, crossed.all)
        for title, cell in cells.items():
            rows.setdefault(title, []).append(cell)
        good &= one.column is AGAIN or (
            ticks.equal >= EQUAL_SHARE * ticks.all
            and len(first) == len(steps)
            and max(first) <= NEW_SIZE_SECONDS
        )
    lines = [
        f"| | {' | '.join(one.column.title for one in followed)} |",
        f"| --- |{' ---: |' * len(followed)}",
        *(f"| {title} | {' | '.join(cells)} |" for title, cells in rows.items()),
    ]
    return "\n".join(lines), good


def share(part: int, whole: int) -> str:
    """A part of ticks for people."""
    return f"{part} of {whole} ({part / whole:.1%})" if whole else "none"


def spread(seconds: list[float]) -> str:
    """Times for people."""
    if not seconds:
        return "none"
    return f"{statistics.median(seconds):.1f} s, worst {max(seconds):.1f} s"


def plot(followed: list[Followed], load: Load, path: Path) -> None:
    """Draw the load, and the decided and the set number of each column."""
    figure = Figure(figsize=(9, 2.2 * (len(followed) + 1)), layout="constrained")
    axes = figure.subplots(len(followed) + 1, 1, sharex=True)
    begin = load.steps[0]
    minutes = [(at - begin) / 60 for at, _ in load.shown]
    axes[0].step(
        minutes,
        [application.RATE * application.SERVICE_SECONDS * one for _, one in load.shown],
        where="post",
        color=COLOURS[6],
    )
    axes[0].set_title("load, in busy slots", loc="left", fontsize="medium")
    for axis, one in zip(axes[1:], followed, strict=True):
        for numbers, label, colour, width in (
            (one.decided, "decided by Tidegate", COLOURS[4], 3.0),
            (one.set, "set in the Deployment", COLOURS[0], 1.2),
        ):
            at = [(each.at - begin) / 60 for each in numbers] + [(load.end - begin) / 60]
            counts = [each.replicas for each in numbers] + [numbers[-1].replicas]
            axis.step(at, counts, where="post", label=label, color=colour, linewidth=width)
        axis.set_title(one.column.title, loc="left", fontsize="medium")
        axis.set_ylabel("replicas")
        axis.set_ylim(bottom=0)
    for axis in axes:
        axis.axvspan((load.steps[-1] - begin) / 60, (load.end - begin) / 60, alpha=0.06)
        axis.set_xlim(-0.5, (load.end - begin) / 60)
    axes[1].legend(loc="upper right", fontsize="small")
    axes[-1].set_xlabel("minutes; compared tick by tick in the shaded part")
    figure.savefig(path, dpi=110)


def main() -> int:
    """Run and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sync", type=float, default=USUAL.sync_seconds, help="HPA's sync period")
    parser.add_argument("--poll", type=int, default=USUAL.poll_seconds, help="KEDA's interval")
    parser.add_argument("--columns", nargs="+", choices=[one.key for one in COLUMNS])
    parser.add_argument("--out", type=Path, help="write the table to this Markdown file, too")
    parser.add_argument("--plot", type=Path, help="draw decided and set numbers over time")
    parser.add_argument("--keep", type=Path, help="keep logs and data in this new folder")
    chosen = parser.parse_args()
    columns = tuple(one for one in COLUMNS if not chosen.columns or one.key in chosen.columns)
    if absent := arrangement.absent(columns):
        sys.exit(f"not built: {', '.join(absent)} (run scripts/kubernetes and scripts/prometheus)")
    settings = replace(USUAL, sync_seconds=chosen.sync, poll_seconds=chosen.poll)
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.keep.absolute() if chosen.keep else Path(temporary) / "cluster"
        folder.mkdir(parents=True)
        with arrangement.running(folder, columns, settings) as running:
            load = vary(running)
            followed = [
                Followed(one, decisions(running, one), sizes(running, one)) for one in columns
            ]
    found, good = table(followed, load)
    text = (
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores; "
        f"a decision each {settings.tick_seconds:g} s, KEDA's polling interval"
        f" {settings.poll_seconds} s, sync period of the HPA {settings.sync_seconds:g} s\n\n{found}\n"
    )
    print(text)
    if chosen.out:
        chosen.out.write_text(text)
    if chosen.plot:
        plot(followed, load, chosen.plot)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
