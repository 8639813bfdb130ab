"""What must be there before anything is started. Each problem is a sentence that says what to do."""

from __future__ import annotations

from service.artefact import ArtefactError, read_manifest
from tidegate.settings import Settings
from tidegate.stack import gateway, prometheus
from tidegate.stack.elasticsearch import elasticsearch_problem
from tidegate.stack.ports import port_problems, wanted_ports


def model_problem(settings: Settings) -> str:
    """Why the model cannot be served, as far as a look at it tells; empty if it can.

    Whether the files are those that the manifest names is the replica's to check.
    """
    path = settings.model.path
    if path.is_file():
        return ""
    try:
        read_manifest(path)
    except ArtefactError as error:
        return str(error)
    return ""


def gateway_problem() -> str:
    """Why HAProxy cannot be run; empty if it can."""
    try:
        gateway.haproxy_binary()
    except (OSError, RuntimeError) as error:
        return str(error)
    return ""


def prometheus_problem() -> str:
    """Why Prometheus cannot be run; empty if it can."""
    try:
        prometheus.prometheus_binary()
    except (OSError, RuntimeError) as error:
        return str(error)
    return ""


async def store_problem(settings: Settings) -> str:
    """Why the store cannot be used; empty if it can."""
    if settings.store.kind != "elasticsearch":
        return ""
    problem = await elasticsearch_problem(settings.store.elasticsearch)
    return f"elasticsearch: {problem}; start it, or use --store embedded" if problem else ""


async def start_problems(settings: Settings) -> list[str]:
    """All that stands against a start."""
    found = [
        gateway_problem(),
        prometheus_problem(),
        model_problem(settings),
        *port_problems(wanted_ports(settings)),
        await store_problem(settings),
    ]
    return [problem for problem in found if problem]
