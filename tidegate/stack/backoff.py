"""How long to wait before a program that died is started again."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Exponential, with jitter: at once, then about 0.5, 1, 2, 4 … 30 s.

    The first restart has no delay, as one death says nothing yet and a replica is missed at once; but
    a program that could not start will say the same again. One that ran `stable_seconds` begins anew.
    Jitter takes off up to half, so that programs that died together do not come back together.
    """

    base_seconds: float = 0.5
    cap_seconds: float = 30.0
    stable_seconds: float = 60.0
    random: Callable[[], float] = random.random
    failures: int = field(default=0, init=False)

    def after(self, ran_seconds: float, *, at_once: bool = True) -> float:
        """The delay in seconds after a death that came so long after the start.

        Args:
            ran_seconds: how long it ran.
            at_once: whether a first death needs no delay.
        """
        if ran_seconds >= self.stable_seconds:
            self.failures = 0
        self.failures += 1
        if self.failures == 1 and at_once:
            return 0.0
        # 2^16 is far over any cap: the exponent must not grow without end in a crash loop of days.
        delay = self.base_seconds * 2.0 ** min(max(self.failures - 2, 0), 16)
        return min(self.cap_seconds, delay) * (1.0 - 0.5 * self.random())
