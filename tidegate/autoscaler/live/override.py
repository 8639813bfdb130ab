"""What a person told the autoscaler for a time: hold the number, or keep within these bounds.

It is a small file in the data folder, so that it works without any port, survives a restart of the
autoscaler, and can be read by whoever wonders. It ends by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tidegate.autoscaler.types import Bounds, Decision, Policy, Signals, format_change
from tidegate.autoscaler.wrappers.combinators import clamped
from tidegate.runtime.atomic_files import write_atomically

MAX_OVERRIDE_SECONDS: Final = 7 * 86_400.0
MAX_BYTES: Final = 4096
Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, slots=True)
class Override:
    """What holds until a moment.

    Attributes:
        until: when it ends, in seconds since 1970.
        min: never fewer replicas meanwhile; None leaves it to the others.
        max: never more. With neither, the number is held.
    """

    until: float
    min: int | None = None
    max: int | None = None

    @property
    def holds(self) -> bool:
        """Whether the number is held, instead of bounded."""
        return self.min is None and self.max is None

    @property
    def description(self) -> str:
        """It in words, as in `paused until 14:30Z` and `by hand until 14:30Z, from 3 to 5`."""
        end = f"until {datetime.fromtimestamp(self.until, UTC):%Y-%m-%d %H:%MZ}"
        if self.holds:
            return f"paused {end}"
        minimum = [] if self.min is None else [f"at least {self.min}"]
        maximum = [] if self.max is None else [f"at most {self.max}"]
        return f"by hand {end}, {' and '.join(minimum + maximum)}"


def apply_override(policy: Policy, override: Override, bounds: Bounds) -> Policy:
    """The policy as a person bounds it, and always within `bounds`.

    It goes on deciding while it is paused, so that it knows what there was when the pause ends.
    """
    recorded_override = {**asdict(override), "bounds": asdict(bounds)}

    def decide(state: dict[str, Any], signals: Signals, now: float) -> Decision:
        decision = policy(state, signals, now)
        held = signals.desired
        if override.holds:
            desired = bounds.clamp(held)
            decision = replace(
                decision,
                desired=desired,
                reason="paused",
                slots=None,
                explanation=(
                    f"{format_change(held, desired)}: {override.description};"
                    f" else {decision.explanation}"
                ),
            )
        else:
            low = bounds.clamp(bounds.min if override.min is None else override.min)
            high = bounds.clamp(bounds.max if override.max is None else override.max)
            own = decision
            decision = clamped(own, Bounds(low, max(low, high)), held, override.description)
            if decision is own:
                decision = replace(own, explanation=f"{own.explanation}; {override.description}")
        return replace(decision, inputs={**decision.inputs, "control": recorded_override})

    return decide


class _File(BaseModel):
    """What the file holds."""

    model_config = ConfigDict(extra="forbid")

    until: Annotated[float, Field(ge=0, lt=253_402_000_000, allow_inf_nan=False)]
    min: Count | None = None
    max: Count | None = None


@dataclass(frozen=True, slots=True)
class OverrideFile:
    """The file that holds a control.

    Attributes:
        path: where it is.
    """

    path: Path

    def read(self, unix_seconds: float) -> tuple[Override | None, str]:
        """The control that is in force, if one is, and what is wrong with the file, in words.

        Never an error: a file that cannot be read is as good as none, but is told.
        """
        try:
            with self.path.open("rb") as file:
                content = file.read(MAX_BYTES)
            recorded_override = _File.model_validate_json(content)
        except FileNotFoundError:
            return None, ""
        except OSError as error:
            return None, f"{self.path} cannot be read ({error.strerror}), so nothing is paused"
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            detail = f"{where}: {first['msg']}" if where else first["msg"]
            return None, f"{self.path} is no pause ({detail}), so nothing is paused"
        override = Override(recorded_override.until, recorded_override.min, recorded_override.max)
        return (override if unix_seconds < override.until else None), ""

    def write(self, override: Override) -> None:
        """Put it in force, atomically.

        Raises:
            OSError: it cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = _File(**asdict(override)).model_dump_json(exclude_none=True)
        write_atomically(self.path, f"{text}\n", mode=0o644)

    def remove(self) -> bool:
        """End it; whether there was one.

        Raises:
            OSError: it cannot be removed.
        """
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        return True


OverrideReader = Callable[[float], tuple[Override | None, str]]
"""Gives what is in force at a time in seconds since 1970, and what is wrong, in words."""
