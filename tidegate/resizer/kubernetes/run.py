"""The process of the resizer for Kubernetes."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack

from tidegate.resizer.daemon import NODE, open_event_log, open_token, served
from tidegate.resizer.kubernetes.api import open_deployment
from tidegate.resizer.kubernetes.resizer import KubernetesResizer
from tidegate.runtime.daemon import run_async_daemon
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
        event_log = open_event_log(settings)
        resizer = KubernetesResizer(deployment, settings.replicas, event_log, time.monotonic)
        await stack.enter_async_context(served(settings, resizer, tokens))
        await resizer.run()
