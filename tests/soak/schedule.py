"""Which fault happens when: a pure function of a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["kill", "stop", "cut", "disk", "clock", "store"]
INSTANT: Final = frozenset({"kill"})
"""Kinds that have no end of their own."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done to a part of the stack, and for how long.

    Attributes:
        kind: `kill` (-9) or `stop` (SIGSTOP, then SIGCONT) of a process; `cut` (its packets are dropped);
            `disk` (full); `clock` (the wall clock differs); `store` (Elasticsearch answers so).
        target: the process, the way of the store to fail, or the seconds by which the clock differs.
        seconds: how long it lasts; 0 for a kill.
    """

    kind: Kind
    target: str
    seconds: float = 0.0

    def __str__(self) -> str:
        lasts = f" for {self.seconds:g} s" if self.seconds else ""
        return f"{self.kind} {self.target}{lasts}"


Step: TypeAlias = tuple[Fault, ...]
"""Faults that begin together; the next step begins when the stack has recovered from them."""


def name(step: Step) -> str:
    """Both faults of a pair, or the one."""
    return " + ".join(map(str, step))


def schedule(seed: int, faults: Sequence[Fault], pairs: int) -> list[Step]:
    """Each fault alone, in a drawn order, then drawn pairs of those of different targets.

    >>> [name(step) for step in schedule(1, [Fault("kill", "a"), Fault("stop", "b", 3)], 1)]
    ['kill a', 'stop b for 3 s', 'kill a + stop b for 3 s']
    """
    chance = random.Random(seed)
    singles = [(fault,) for fault in chance.sample(faults, len(faults))]
    drawn = list[Step]()
    while len(drawn) < pairs:
        first, second = chance.sample(faults, 2)
        if first.target != second.target:
            drawn.append((first, second))
    return [*singles, *drawn]


def in_pairs(seed: int, faults: Sequence[Fault]) -> list[Step]:
    """Each fault once, in drawn pairs; the last alone if their number is odd."""
    drawn = random.Random(seed).sample(faults, len(faults))
    return [tuple(drawn[start : start + 2]) for start in range(0, len(drawn), 2)]
