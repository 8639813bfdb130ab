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

from tidegate.autoscaler.types import Bounds, Decision, Policy, Signals, change_words
from tidegate.autoscaler.wrappers.combinators import clamped
from tidegate.runtime.atomic_files import write_atomically

LONGEST_SECONDS: Final = 7 * 86_400.0
MOST_BYTES: Final = 4096
Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, slots=True)
class Control:
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
    def words(self) -> str:
        """It in words, as in `paused until 14:30Z` and `by hand until 14:30Z, from 3 to 5`."""
        end = f"until {datetime.fromtimestamp(self.until, UTC):%Y-%m-%d %H:%MZ}"
        if self.holds:
            return f"paused {end}"
        least = [] if self.min is None else [f"at least {self.min}"]
        most = [] if self.max is None else [f"at most {self.max}"]
        return f"by hand {end}, {' and '.join(least + most)}"


def controlled(policy: Policy, control: Control, bounds: Bounds) -> Policy:
    """The policy as a person bounds it, and always within `bounds`.

    It goes on deciding while it is paused, so that it knows what there was when the pause ends.
    """
    told = {**asdict(control), "bounds": asdict(bounds)}

    def decide(state: dict[str, Any], signals: Signals, now: float) -> Decision:
        decision = policy(state, signals, now)
        held = signals.desired
        if control.holds:
            desired = bounds.clamp(held)
            decision = replace(
                decision,
                desired=desired,
                reason="paused",
                slots=None,
                explanation=f"{change_words(held, desired)}: {control.words}; else {decision.explanation}",
            )
        else:
            low = bounds.clamp(bounds.min if control.min is None else control.min)
            high = bounds.clamp(bounds.max if control.max is None else control.max)
            own = decision
            decision = clamped(own, Bounds(low, max(low, high)), held, control.words)
            if decision is own:
                decision = replace(own, explanation=f"{own.explanation}; {control.words}")
        return replace(decision, inputs={**decision.inputs, "control": told})

    return decide


class _File(BaseModel):
    """What the file holds."""

    model_config = ConfigDict(extra="forbid")

    until: Annotated[float, Field(ge=0, lt=253_402_000_000, allow_inf_nan=False)]
    min: Count | None = None
    max: Count | None = None


@dataclass(frozen=True, slots=True)
class ControlFile:
    """The file that holds a control.

    Attributes:
        path: where it is.
    """

    path: Path

    def read(self, unix_seconds: float) -> tuple[Control | None, str]:
        """The control that is in force, if one is, and what is wrong with the file, in words.

        Never an error: a file that cannot be read is as good as none, but is told.
        """
        try:
            with self.path.open("rb") as file:
                content = file.read(MOST_BYTES)
            told = _File.model_validate_json(content)
        except FileNotFoundError:
            return None, ""
        except OSError as error:
            return None, f"{self.path} cannot be read ({error.strerror}), so nothing is paused"
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            said = f"{where}: {first['msg']}" if where else first["msg"]
            return None, f"{self.path} is no pause ({said}), so nothing is paused"
        control = Control(told.until, told.min, told.max)
        return (control if unix_seconds < control.until else None), ""

    def write(self, control: Control) -> None:
        """Put it in force, atomically.

        Raises:
            OSError: it cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = _File(**asdict(control)).model_dump_json(exclude_none=True)
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


Controls = Callable[[float], tuple[Control | None, str]]
"""Gives what is in force at a time in seconds since 1970, and what is wrong, in words."""
