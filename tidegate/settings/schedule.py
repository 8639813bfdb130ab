"""Validation of a schedule window: bounds on the number of replicas by the time of day."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

DAY_MINUTES: Final = 1440
_CRON_FIELDS: Final = 5


def check_window(
    cron: str, *, minutes: int, min_replicas: int | None, max_replicas: int | None, timezone: str
) -> None:
    """Validate one window.

    Args:
        cron: the times at which it opens.
        minutes: how long it stays open.
        min_replicas: its minimum number of replicas, if it has one.
        max_replicas: its maximum, if it has one.
        timezone: the time zone of `cron`, a name of the IANA database.

    Raises:
        ValueError: a value is invalid; the message names it.
    """
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"unknown time zone {timezone!r}") from error
    if min_replicas is not None and max_replicas is not None and min_replicas > max_replicas:
        raise ValueError(
            f"window {cron!r}: min ({min_replicas}) must not be greater than max ({max_replicas})"
        )
    if not 1 <= minutes <= DAY_MINUTES:
        raise ValueError(f"window {cron!r}: minutes must be from 1 to {DAY_MINUTES}")
    # The library accepts a sixth field, seconds.
    if len(cron.split()) != _CRON_FIELDS:
        raise ValueError(
            f"cron expression {cron!r}: expected five fields (minute, hour, day of month, month,"
            f" day of week), got {len(cron.split())}"
        )
    try:
        CronSim(cron, datetime.now(UTC))
    except CronSimError as error:
        raise ValueError(f"cron expression {cron!r}: {str(error).lower()}") from error
