"""Checks of a schedule window: bounds on the number of replicas by the time of day."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

DAY_MINUTES: Final = 1440
_CRON_FIELDS: Final = 5


def check_window(
    cron: str, *, minutes: int, least: int | None, most: int | None, timezone: str
) -> None:
    """Check the values of one window.

    Args:
        cron: when it opens.
        minutes: how long it stays open.
        least: its minimum number of replicas, if it has one.
        most: its maximum.
        timezone: the time zone of `cron`, a name of the IANA database.

    Raises:
        ValueError: a value is invalid; the text names it.
    """
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"there is no time zone {timezone!r}") from error
    if least is not None and most is not None and least > most:
        raise ValueError(f"window {cron!r}: min {least} is over max {most}")
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
