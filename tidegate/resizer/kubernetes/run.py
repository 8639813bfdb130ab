"""The process of the resizer for Kubernetes."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack

from tidegate.resizer.daemon import NODE, open_token
from tidegate.resizer.kubernetes.api import open_deployment
from tidegate.resizer.kubernetes.resizer import KubernetesResizer
from tidegate.resizer.rate_limit import RateLimitedResizer
from tidegate.resizer.server import add_metrics, make_app, serve_tcp
from tidegate.runtime.daemon import run_async_daemon
from tidegate.runtime.event_log import EventLog, StreamWriter
from tidegate.runtime.identity import event_origin
from tidegate.settings import Settings


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT.

    Without an API server, a Deployment or the permission it waits for them: they may come later, as at an
    installation of everything at once.

    Returns:
        The exit code: 0 after a signal, 2 if it cannot start, with the reason on stderr.
    """
    return run_async_daemon(NODE, lambda: _run(settings))


async def _run(settings: Settings) -> None:
    tokens = open_token(settings.resizer.token_file)
    async with AsyncExitStack() as stack:
        deployment = await stack.enter_async_context(
            open_deployment(
                settings.resizer.deployment,
                settings.resizer.kubernetes_namespace,
                time.monotonic,
            )
        )
        event_log = EventLog(StreamWriter(), event_origin(settings, NODE), NODE)
        resizer = KubernetesResizer(deployment, settings.replicas, event_log, time.monotonic)
        limited = RateLimitedResizer(resizer, settings.replicas.max, time.monotonic)
        app = make_app(limited, tokens=tokens)
        add_metrics(app)
        await stack.enter_async_context(
            serve_tcp(app, settings.stack.metrics_host, settings.resizer.port)
        )
        await resizer.run()
