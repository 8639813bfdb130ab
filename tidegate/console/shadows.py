"""What shadow models say about the requests that another model answered."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from tidegate.runtime.prometheus import Prometheus

OF: Final = ("model", "version", "shadow")


@dataclass(frozen=True, slots=True)
class Shadow:
    """A shadow of a version of a model, and its rows in a window.

    Attributes:
        model: the name of the model.
        version: of the model that answers.
        shadow: its own version.
        agreed: on which it says the same.
        differed: on which it does not.
        full: not scored, as its queue was full.
        failed: not scored, as it raised an error.
    """

    model: str
    version: str
    shadow: str
    agreed: int
    differed: int
    full: int
    failed: int

    @property
    def agreement(self) -> float | None:
        """The fraction of the scored rows on which both say the same; None without rows."""
        rows = self.agreed + self.differed
        return self.agreed / rows if rows else None


async def read_shadows(prometheus: Prometheus, window: str) -> list[Shadow]:
    """Every shadow that a replica has.

    Args:
        prometheus: what it has scraped.
        window: such as `5m`.

    Raises:
        HttpError: Prometheus does not answer.
    """
    counters = '{__name__=~"ml_shadow_(predictions|dropped)_total"}'
    found: dict[tuple[str, str, str], Counter[str]] = {}
    for one in await prometheus.query(
        f"sum by ({', '.join(OF)}, agree, reason) (increase({counters}[{window}]))"
    ):
        model, version, shadow = (one.labels[name] for name in OF)
        rows = found.setdefault((model, version, shadow), Counter())
        kind = one.labels.get("agree") or one.labels.get("reason", "")
        rows[kind] += round(one.samples[-1][1])
    return [
        Shadow(*names, rows["true"], rows["false"], rows["full"], rows["failed"])
        for names, rows in sorted(found.items())
    ]
