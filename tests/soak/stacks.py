"""The settings of a stack that is soaked."""

from __future__ import annotations

from typing import Any, Final

from support.processes.running_stack import LEFT_ALONE

SOAKED: Final[dict[str, Any]] = {
    **LEFT_ALONE,
    # Two replicas, of which one may be away; long requests, so that each fault meets some.
    "replicas": {"min": 2, "start": 2, "max": 3},
    "device": {"simulated": True, "light_seconds": 0.15},
    "console": {"enabled": True},
}
