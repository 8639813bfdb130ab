"""The model that the other pods of a rollout serve: in Kubernetes nothing else fixes that of a release.

The chart cannot read the model, a digest in its values would have to be set by everybody, and a pod has no
token with which it could write one. So a new pod asks those that serve already.
"""

from __future__ import annotations

import asyncio
import socket
from collections import defaultdict
from contextlib import suppress
from typing import Final

from pydantic import BaseModel, ValidationError

PEERS: Final = "ROLLOUT_PEERS"
"""The environment variable in which the chart names the replicas, as `host:port`. It is no setting: an
earlier Tidegate in a user's image would refuse it, and with this chart no pod of that would start."""
DNS_SECONDS: Final = 30.0
"""How long the cluster's DNS may lack a new pod, so that two which start together do not see each other."""


class _Ready(BaseModel):
    """What `/ready` of a model service tells."""

    node: str
    digest: str


async def rollout_digest(peers: str, node: str) -> str:
    """The digest of the model that most ready replicas of a rollout serve; empty if none tells.

    Of two that as many serve, it is that of the replica whose name comes first, so that all decide alike.

    Args:
        peers: `host:port`; the host has the address of each replica.
        node: the name of a pod, which begins with that of its ReplicaSet.
    """
    # No other replica needs it, and it takes long to import.
    from tidegate.runtime.http_probe import PROBE_SECONDS, probe_session  # noqa: PLC0415

    host, _, port = peers.rpartition(":")
    loop = asyncio.get_running_loop()
    try:
        names = loop.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
        found = await asyncio.wait_for(names, PROBE_SECONDS)
    except OSError:  # also TimeoutError: no replica waits for DNS before it serves
        return ""
    hosts = [f"[{at[0]}]" if ":" in str(at[0]) else at[0] for *_, at in found]
    async with probe_session() as (_, fetch):
        urls = [f"http://{each}:{port}/ready" for each in hosts]
        answers = await asyncio.gather(*(fetch(url, PROBE_SECONDS) for url in urls))
    served: dict[str, list[str]] = defaultdict(list)
    for answer in filter(None, answers):
        with suppress(ValidationError):  # of another program, or an earlier version
            ready = _Ready.model_validate_json(answer)
            if ready.node.rpartition("-")[0] == node.rpartition("-")[0]:
                served[ready.digest].append(ready.node)
    return min(served, key=lambda digest: (-len(served[digest]), min(served[digest])), default="")
