"""`tidegate pause` and `tidegate resume`."""

from __future__ import annotations

import sys
import time

from tidegate.autoscaler.live.configured_policy import bounds
from tidegate.autoscaler.live.override import MAX_OVERRIDE_SECONDS, Override, OverrideFile
from tidegate.settings import Settings
from tidegate.store.query import time_ranges

DONE, NOTHING, BAD_USE = 0, 1, 2


def pause(settings: Settings, *, minimum: int | None, maximum: int | None, length: str) -> int:
    """Hold the number of replicas for a time, or keep it within bounds.

    None leaves the minimum or the maximum to the policy; with neither, the number is held. The length is one
    such as `30m`.

    Returns:
        The exit code: 2 if an argument is invalid; the reason is on stderr.

    Raises:
        OSError: the file cannot be written.
    """
    try:
        override = make_override(settings, minimum, maximum, length)
        OverrideFile(settings.control_file).write(override)
    except (ValueError, OverflowError) as error:
        sys.stderr.write(f"pause: {error}\n")
        return BAD_USE
    sys.stdout.write(f"{override.description}; `tidegate resume` ends it\n")
    if not settings.autoscaler.enabled:
        sys.stderr.write("autoscaler.enabled is false, so this has no effect\n")
    return DONE


def resume(settings: Settings) -> int:
    """Let the policy decide again.

    Returns:
        The exit code: 1 if nothing was paused.

    Raises:
        OSError: the file cannot be removed.
    """
    if not OverrideFile(settings.control_file).remove():
        sys.stderr.write("nothing was paused\n")
        return NOTHING
    sys.stdout.write(f"{settings.autoscaler.policy} decides again from the next tick\n")
    return DONE


def make_override(
    settings: Settings, minimum: int | None, maximum: int | None, length: str
) -> Override:
    """A pause, or bounds, from now on; the arguments are those of `pause`.

    Raises:
        ValueError: one is invalid.
        OverflowError: the duration is too long for a date.
    """
    seconds = time_ranges.age(length).total_seconds()
    if not 0 < seconds <= MAX_OVERRIDE_SECONDS:
        raise ValueError(f"--for {length}: must be from 1s to 7d")
    own = bounds(settings)
    for name, number in (("--min", minimum), ("--max", maximum)):
        if number is not None and own.clamp(number) != number:
            raise ValueError(
                f"{name} {number}: replicas.min and replicas.max allow {own.min} to {own.max}"
            )
    if minimum is not None and maximum is not None and minimum > maximum:
        raise ValueError(f"--min ({minimum}) must not be greater than --max ({maximum})")
    return Override(time.time() + seconds, minimum, maximum)
