"""How quickly all ways of scaling act, so that a loss shows at once, and within which numbers of replicas."""

from __future__ import annotations

from typing import Final

POLICY: Final = "sloq:down_seconds=5"
TICK_SECONDS: Final = 2.0
# Between two questions of KEDA's operator.
POLL_SECONDS: Final = 2
# Between two decisions of the HPA controller, of the whole cluster.
SYNC_SECONDS: Final = 5.0
# Without requests until the last replica may leave.
IDLE_SECONDS: Final = 5
MIN_REPLICAS, MAX_REPLICAS = 0, 6
