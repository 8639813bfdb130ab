"""The application of summaries.py, mounted in a BentoML service as a replica of Tidegate."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import bentoml
from asgi_lifespan import LifespanManager
from starlette.applications import Starlette
from summaries import app

from tidegate.serving import Replica, make_replica

# From SIGTERM until the listener closes: two of the gateway's checks of /ready, one each 0.5 s, fail before.
GRACE_SECONDS = 1.2
PR_SET_PDEATHSIG = 1  # linux/prctl.h
PARENT = os.getppid()


@asynccontextmanager
async def lifespan(mounted: Starlette) -> AsyncIterator[None]:
    """Make the replica in the process that serves: BentoML's supervising process imports this module, too."""
    end_with_parent()
    replica = make_replica(app)
    mounted.mount("/", replica.app)
    async with LifespanManager(
        replica.app, shutdown_timeout=replica.settings.replicas.drain_seconds
    ):
        drain_on_sigterm(replica)
        yield


def end_with_parent() -> None:
    """End when BentoML's supervising process is killed: alone, this process would keep the port forever."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != PARENT:  # it was killed before
        os.kill(os.getpid(), signal.SIGKILL)


def drain_on_sigterm(replica: Replica) -> None:
    """On SIGTERM let /ready fail first; BentoML's server would stop accepting connections at once."""
    loop = asyncio.get_running_loop()
    stop_server = signal.getsignal(signal.SIGTERM)

    def drain() -> None:
        replica.lifecycle.drain()
        loop.call_later(GRACE_SECONDS, stop_server, signal.SIGTERM, None)

    if callable(stop_server):
        loop.add_signal_handler(signal.SIGTERM, drain)


# One worker a replica: two would share its port, and each would take connections that the other has slots
# for. Metrics, events and traces of the requests are the replica's own.
@bentoml.service(workers=1, metrics={"enabled": False}, logging={"access": {"enabled": False}})
@bentoml.asgi_app(Starlette(lifespan=lifespan), path="/")
class Summaries:
    """The mounted application."""
