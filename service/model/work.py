"""The kind of a request (light, medium or heavy), and its time on a simulated device."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from tidegate.settings import Device

Work: TypeAlias = Literal["light", "medium", "heavy"]

MEDIUM_ROWS: Final = 32


def work_of(rows: int) -> Work:
    """The kind of a request that does not name it: 1 row is light, up to 32 are medium."""
    if rows == 1:
        return "light"
    return "medium" if rows <= MEDIUM_ROWS else "heavy"


def device_seconds(device: Device, work: Work) -> float:
    """How long the simulated device works on such a request; 0 without one."""
    seconds: float = getattr(device, f"{work}_seconds")
    return seconds if device.simulated else 0.0
