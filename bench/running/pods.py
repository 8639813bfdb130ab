"""The pods of a Deployment while they come and go."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from support.kubernetes.faults.trace import Api


@dataclass(slots=True)
class Pod:
    """One pod.

    Attributes:
        name: its name.
        deleted_at: when its end was requested, in seconds since 1970, to the second; None: it was not.
        gone_at: when it was gone; None: it is not.
    """

    name: str
    deleted_at: float | None = None
    gone_at: float | None = None


@dataclass
class Pods:
    """All pods with a label in a namespace since the first read, by their uid.

    Attributes:
        api: the API server.
        namespace: their namespace.
        labels: a label selector.
    """

    api: Api
    namespace: str
    labels: str
    _seen: dict[str, Pod] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self) -> None:
        """Read once. A pod needs longer than the time between two reads to begin and to end.

        Raises:
            httpx.HTTPError: the API server cannot be reached.
        """
        found = self.api.items(
            f"/api/v1/namespaces/{self.namespace}/pods", labelSelector=self.labels
        )
        now = time.time()
        with self._lock:
            for one in found:
                meta = one["metadata"]
                self._seen.setdefault(meta["uid"], Pod(meta["name"])).deleted_at = _deleted_at(meta)
            here = {one["metadata"]["uid"] for one in found}
            for uid, pod in self._seen.items():
                if uid not in here and pod.gone_at is None:
                    pod.gone_at = now

    def ended(self) -> list[Pod]:
        """Those whose end was requested."""
        with self._lock:
            return [one for one in self._seen.values() if one.deleted_at or one.gone_at]

    def left(self) -> int:
        """How many of those are still there."""
        return sum(one.gone_at is None for one in self.ended())


def _deleted_at(meta: dict[str, Any]) -> float | None:
    """When the end was requested: Kubernetes notes when the grace period after it ends."""
    if "deletionTimestamp" not in meta:
        return None
    latest = datetime.fromisoformat(meta["deletionTimestamp"]).timestamp()
    return latest - float(meta["deletionGracePeriodSeconds"])
