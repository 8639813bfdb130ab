"""The status of a stack without a supervisor, as in Docker Compose: what Prometheus scrapes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from tidegate.rules.prometheus_config import JOBS, REPLICA_JOB
from tidegate.runtime.http_client import HttpClient
from tidegate.runtime.prometheus import Prometheus
from tidegate.settings import Settings
from tidegate.stack.processes.process_supervisor import State
from tidegate.stack.supervisor.programs import url
from tidegate.stack.supervisor.prometheus_monitor import firing_alerts
from tidegate.stack.supervisor.status import ProgramStatus, StackStatus, stack_status

STARTED: Final = "process_start_time_seconds"
NODE: Final = "tidegate_replica_info"
# Each replica of the model service has one of them.
VERSIONS: Final = ("ml_prediction_reference_samples", "ml_reference_absolute_error")
# What the exporter watches.
BACKENDS: Final = {"tidegate_elasticsearch_up": "elasticsearch", "tidegate_logstash_up": "logstash"}
REPLICAS: Final = "tidegate_replicas"
NAMES: Final = ("up", STARTED, NODE, *VERSIONS, *BACKENDS, REPLICAS)
# Of these jobs only: a Prometheus of Kubernetes has many others.
QUERY: Final = f'{{__name__=~"{"|".join(NAMES)}",job=~"{"|".join(JOBS)}"}}'


async def read_status(prometheus: Prometheus, settings: Settings) -> StackStatus:
    """The status now; what only a supervisor knows is empty.

    Raises:
        HttpError: Prometheus does not answer.
    """
    found: dict[str, list[tuple[Mapping[str, str], float]]] = defaultdict(list)
    for one in await prometheus.query(QUERY):
        found[one.labels["__name__"]].append((one.labels, one.samples[-1][1]))

    def of_targets(*names: str, label: str) -> dict[str, str]:
        return {
            labels["instance"]: labels.get(label, "") for name in names for labels, _ in found[name]
        }

    started = {labels["instance"]: value for labels, value in found[STARTED]}
    nodes = of_targets(NODE, label="node")
    versions = of_targets(*VERSIONS, label="version")
    components, replicas = [], []
    for labels, up in sorted(found["up"], key=lambda one: one[0]["instance"]):
        target = labels["instance"]
        began = started.get(target, 0.0)
        if labels["job"] == REPLICA_JOB:
            name, version = nodes.get(target, target), versions.get(target, "")
            # A new replica is a target before it answers.
            replicas.append(_program(name, "ready" if up else "starting", began, version))
        else:
            components.append(_program(labels["job"], "ready" if up else "failed", began))
    for name, program in BACKENDS.items():
        components += [_program(program, "ready" if up else "failed") for _, up in found[name]]
    sizes = {labels.get("state"): int(value) for labels, value in found[REPLICAS]}
    numbers: dict[str, Any] = {key: sizes[key] for key in ("desired", "running") if key in sizes}
    client = HttpClient(prometheus.session, prometheus.url, seconds=prometheus.seconds)
    alerts = firing_alerts((await client.call("GET", "/api/v1/alerts")).decode())
    served = sorted({one.version for one in replicas if one.version})
    several = f"replicas serve the models {', '.join(served)}: a rollout goes on, or model.path has changed"
    return stack_status(
        settings,
        components,
        replicas,
        source=f"{several} (set model.digest)" if len(served) > 1 else "",
        gateway=url(settings.stack.host, settings.gateway.port),
        prometheus=prometheus.url,
        alerts=alerts or [],
        **numbers,
    )


def _program(name: str, state: State, started_at: float = 0.0, version: str = "") -> ProgramStatus:
    problem = "it does not answer" if state == "failed" else ""
    return ProgramStatus(
        id=name, state=state, started_at=started_at, problem=problem, version=version
    )
