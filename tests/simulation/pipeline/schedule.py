"""A schedule: what processes do, and what goes wrong meanwhile. A seed draws one."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from .network import NETWORK_FAULTS

FAULTS = {
    "kill": ("kill",),
    "power": ("power",),
    "disk errors": ("eio", "enospc", "emfile"),
    "full disk": ("full", "full", "room"),
    "clock": ("clock", "clock", "freeze", "thaw"),
    "suspension": ("stop",),
    "strangers": ("cut", "delete", "replace", "link", "symlink"),
    "network": NETWORK_FAULTS,
}
"""The kinds of faults by group. A seed has some of the groups, so that each occurs without the others."""
STRANGERS = FAULTS["strangers"]
EVENTS = ("plain",) * 12 + ("refused", "conflict", "together")
LINES = ("plain", "plain", "junk", "torn", "long")


class Op(NamedTuple):
    """What a process does: write `events` or lines of another program (`other`), deliver (`c0`), or stop."""

    who: str
    events: int
    kind: str


@dataclass(frozen=True, slots=True)
class Run:
    """Processes that do something at the same time, taking turns by `salt`; and the time after that."""

    ops: tuple[Op, ...]
    salt: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong before the call of this number of a process, or to a request (`net`)."""

    who: str
    after: int
    kind: str
    salt: int


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings of the collector and of the servers."""

    sink: str
    batch_events: int
    file_bytes: int
    keep_seconds: float
    keep_bytes: int
    longest: int
    quarantine_bytes: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """What a seed stands for."""

    configuration: Configuration
    records: tuple[Run | Fault, ...]


def draw(seed: int) -> Schedule:
    """The schedule of a seed."""
    random = Random(seed)
    configuration = Configuration(
        sink=random.choice(("elasticsearch", "embedded", "logstash")),
        batch_events=random.choice((2, 3, 5, 9)),
        file_bytes=random.choice((1200, 2500, 100_000)),
        keep_seconds=random.choice((0.0, 30.0, 86_400.0)),
        keep_bytes=random.choice((0, 2000, 10**9)),
        longest=random.choice((1000, 1800, 100_000)),
        quarantine_bytes=random.choice((700, 10**8, 10**8)),
    )
    groups = [one for one in FAULTS if random.random() < 0.4]
    kinds = [kind for one in groups for kind in FAULTS[one]]
    rate = random.choice((0.2, 0.5, 0.9)) if kinds else 0.0
    records: list[Run | Fault] = []
    for _ in range(random.randint(4, 14)):
        if random.random() < rate:
            kind = random.choice(FAULTS[random.choice(groups)])
            records.append(_fault(kind, random))
        records.append(_run(random))
    return Schedule(configuration, tuple(records))


def _fault(kind: str, random: Random) -> Fault:
    salt = random.getrandbits(30)
    if kind in NETWORK_FAULTS:
        return Fault("net", random.choice((1, 1, 2, 3, 6)), kind, salt)
    who = random.choice(("w0", "c0", "c0", "c0", "c1", "w1"))
    return Fault(who, random.randint(1, 8 if who[0] == "w" else 70), kind, salt)


def _run(random: Random) -> Run:
    ops = []
    for who in ("w0", "w0", "w1", "other"):
        if random.random() < (0.5 if who == "w0" else 0.2):
            kinds = LINES if who == "other" else EVENTS
            ops.append(Op(who, random.randint(1, 5), random.choice(kinds)))
    if random.random() < 0.8 or not ops:
        ops.append(Op("c0", 1, "term" if random.random() < 0.08 else "deliver"))
    if random.random() < 0.06:
        ops.append(Op("c1", 1, random.choice(("deliver", "term"))))
    if random.random() < 0.06:
        ops.append(Op("w0", 0, "close"))
    return Run(tuple(ops), random.getrandbits(30), random.choice((0.0, 0.3, 2.0, 7.0, 100.0)))
