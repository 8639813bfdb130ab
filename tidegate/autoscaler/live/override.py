"""A pause or manual bounds for a limited time.

They are stored in a small file in the data folder: that needs no port, survives a restart of the autoscaler,
and can be read by anyone who investigates. They expire by themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass

from tidegate.autoscaler.types import Bounds, Decision, Policy, Signals, format_change
from tidegate.autoscaler.wrappers.combinators import clamped
from tidegate.runtime.atomic_files import write_atomically

MAX_OVERRIDE_SECONDS: Final = 7 * 86_400.0
MAX_BYTES: Final = 4096
Count = Annotated[int, Field(ge=0)]


@pydantic_dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Override:
    """A pause or manual bounds, as in the file.

    Attributes:
        until: when it ends, in seconds since 1970.
        min: the minimum number of replicas; None: as configured.
        max: the maximum, likewise. With neither, the number is held: a pause.
    """

    until: Annotated[float, Field(ge=0, lt=253_402_000_000, allow_inf_nan=False)]
    min: Count | None = None
    max: Count | None = None

    @property
    def holds(self) -> bool:
        """Whether this is a pause, which holds the number, instead of bounds."""
        return self.min is None and self.max is None

    @property
    def description(self) -> str:
        """As text, such as `paused until 14:30Z` or `manual bounds until 14:30Z, at least 3`."""
        end = f"until {datetime.fromtimestamp(self.until, UTC):%Y-%m-%d %H:%MZ}"
        if self.holds:
            return f"paused {end}"
        minimum = [] if self.min is None else [f"at least {self.min}"]
        maximum = [] if self.max is None else [f"at most {self.max}"]
        return f"manual bounds {end}, {' and '.join(minimum + maximum)}"


_JSON: Final = TypeAdapter(Override)


def apply_override(policy: Policy, override: Override, bounds: Bounds) -> Policy:
    """The policy within a pause or manual bounds, and always within `bounds`.

    It continues to decide while paused, so that its state is current when the pause ends.
    """
    recorded_override = {**asdict(override), "bounds": asdict(bounds)}

    def decide(state: dict[str, Any], signals: Signals, now: float) -> Decision:
        decision = policy(state, signals, now)
        current = signals.desired
        if override.holds:
            desired = bounds.clamp(current)
            decision = replace(
                decision,
                desired=desired,
                reason="paused",
                slots=None,
                explanation=(
                    f"{format_change(current, desired)}: {override.description};"
                    f" else {decision.explanation}"
                ),
            )
        else:
            low = bounds.clamp(bounds.min if override.min is None else override.min)
            high = bounds.clamp(bounds.max if override.max is None else override.max)
            own = decision
            decision = clamped(own, Bounds(low, high), current, override.description)
            if decision is own:
                decision = replace(own, explanation=f"{own.explanation}; {override.description}")
        return replace(decision, inputs={**decision.inputs, "control": recorded_override})

    return decide


@dataclass(frozen=True, slots=True)
class OverrideFile:
    """The file of a pause or manual bounds."""

    path: Path

    def read(self, unix_seconds: float) -> tuple[Override | None, str]:
        """The override in force, if any, and the problem with the file, if any.

        Never raises: an unreadable file counts as none, and its problem is returned.
        """
        try:
            with self.path.open("rb") as file:
                content = file.read(MAX_BYTES)
            override = _JSON.validate_json(content)
        except FileNotFoundError:
            return None, ""
        except OSError as error:
            detail = str(error.strerror)
        except ValidationError as error:
            fault = error.errors()[0]
            detail = ": ".join(map(str, (*fault["loc"], fault["msg"])))
        else:
            return (override if unix_seconds < override.until else None), ""
        return None, f"{self.path} is not a valid pause ({detail}), so nothing is paused"

    def write(self, override: Override) -> None:
        """Write the file atomically.

        Raises:
            OSError: it cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = _JSON.dump_json(override, exclude_none=True)
        write_atomically(self.path, f"{content.decode()}\n", mode=0o644)

    def remove(self) -> bool:
        """Remove the file; returns whether there was one.

        Raises:
            OSError: it cannot be removed.
        """
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        return True


OverrideReader = Callable[[float], tuple[Override | None, str]]
"""Returns the override in force at a time in seconds since 1970, and the problem, if any."""
