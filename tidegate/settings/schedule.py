"""A schedule window: bounds on the number of replicas by the time of day."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import Field, model_validator

from tidegate.settings.section import Section

DAY_MINUTES: Final = 1440
_CRON_FIELDS: Final = 5


class ScheduleWindow(Section):
    """Bounds on the number of replicas at certain times of the day or week."""

    cron: str
    """Cron expression of when the window opens: minute, hour, day of month, month and day of week."""
    minutes: int = 1
    """Duration of the window from each minute that `cron` matches; at most a day."""
    min: int | None = Field(default=None, ge=1)
    """Minimum number of replicas within the window."""
    max: int | None = Field(default=None, ge=1)
    """Maximum number of replicas within the window."""
    timezone: str = "UTC"
    """Time zone of `cron`, such as Europe/Berlin."""

    @model_validator(mode="after")
    def _is_valid(self) -> ScheduleWindow:
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"unknown time zone {self.timezone!r}") from error
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(
                f"window {self.cron!r}: min ({self.min}) must not be greater than max ({self.max})"
            )
        if not 1 <= self.minutes <= DAY_MINUTES:
            raise ValueError(f"window {self.cron!r}: minutes must be from 1 to {DAY_MINUTES}")
        # The library accepts a sixth field, seconds.
        if len(self.cron.split()) != _CRON_FIELDS:
            raise ValueError(
                f"cron expression {self.cron!r}: expected five fields (minute, hour, day of month, month,"
                f" day of week), got {len(self.cron.split())}"
            )
        try:
            CronSim(self.cron, datetime.now(UTC))
        except CronSimError as error:
            raise ValueError(f"cron expression {self.cron!r}: {str(error).lower()}") from error
        return self
