"""The faults that each shipper meets, one at a time, while files are written and rotated."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bench.shippers.shippers import Process
from support.doubles.faulty_proxy import FaultyProxy, Way
from support.doubles.small_disk import fill, make_room

KILLS: Final = 20
SEED: Final = 41


@dataclass(frozen=True, slots=True)
class Scene:
    """What a fault acts on: the shipper, and the proxy between it and Elasticsearch."""

    process: Process
    proxy: FaultyProxy


Happen = Callable[[Scene], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault, which returns when it has ended."""

    title: str
    happen: Happen
    needs_disk: bool = False


def _fails(way: Way, seconds: float) -> Happen:
    def happen(scene: Scene) -> None:
        scene.proxy.way = way
        time.sleep(seconds)
        scene.proxy.way = ""

    return happen


def _away(scene: Scene) -> None:
    scene.proxy.stop()
    time.sleep(60)
    scene.proxy.start()


def _kills(scene: Scene) -> None:
    # The same moments for each shipper.
    chance = random.Random(SEED)
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.5, 2.5))
        scene.process.kill()
        scene.process.start()


def _full(scene: Scene) -> None:
    state = scene.process.place.state
    fill(state)
    time.sleep(15)
    make_room(state)


FAULTS: Final = {
    "none": Fault("none", lambda _: None),
    "kills": Fault(f"kill -9 of the shipper, {KILLS} times", _kills),
    "away": Fault("Elasticsearch away for 60 s", _away),
    "429": Fault("429 for 20 s", _fails("429", 20)),
    "503": Fault("503 for 20 s", _fails("503", 20)),
    "item": Fault("429 for each item for 20 s", _fails("item 429", 20)),
    "before": Fault("connection reset before the effect, 15 s", _fails("reset before", 15)),
    "after": Fault(
        "acknowledgement lost after the effect, 15 s", _fails("lost acknowledgement", 15)
    ),
    "disk": Fault("its own disk full for 15 s", _full, needs_disk=True),
}
