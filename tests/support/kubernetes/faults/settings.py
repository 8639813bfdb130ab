"""How quickly the parts of the arrangement act, and within which numbers of replicas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class ScalingSettings:
    """The same for all ways of scaling.

    Attributes:
        policy: of Tidegate's autoscaler.
        tick_seconds: between two of its decisions.
        poll_seconds: between two questions of KEDA's operator.
        sync_seconds: between two decisions of the HPA controller, of the whole cluster.
        idle_seconds: without requests until the last replica may leave.
        min_replicas: the least number of replicas.
        max_replicas: the greatest.
    """

    policy: str
    tick_seconds: float
    poll_seconds: int
    sync_seconds: float
    idle_seconds: float
    min_replicas: int
    max_replicas: int


# A loss must show at once.
QUICK: Final = ScalingSettings(
    policy="sloq:down_seconds=5",
    tick_seconds=2.0,
    poll_seconds=2,
    sync_seconds=5.0,
    idle_seconds=5.0,
    min_replicas=0,
    max_replicas=6,
)
# Those of the chart and of Kubernetes, but for the greatest number.
USUAL: Final = ScalingSettings(
    policy="sloq",
    tick_seconds=5.0,
    poll_seconds=5,
    sync_seconds=15.0,
    idle_seconds=300.0,
    min_replicas=1,
    max_replicas=32,
)
