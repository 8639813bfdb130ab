"""The section of Ray Serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from tidegate.settings.section import Section, TextLike, Url

# They are written into PromQL and into the path of a URL.
Name = Annotated[
    str,
    TextLike(r"[A-Za-z0-9._-]{1,100}", "at most 100 letters, digits, ., _ and -, such as model"),
]


class Ray(Section):
    """Ray Serve, where it runs the replicas instead of local mode or Docker Compose."""

    address: Url = "http://127.0.0.1:8265"
    """Address of Ray's dashboard, through which the resizer sets the number of replicas."""
    application: Name = "default"
    """Name of the application in Ray Serve."""
    deployment: Name = "model"
    """Name of its deployment that is scaled."""
    ingress: Literal["none", "proxy", "haproxy"] = "none"
    """What receives the requests, from whose metrics the queue and the arrival rate are recorded: `none` for
    Tidegate's gateway, `proxy` for Ray's proxy, `haproxy` for Ray with `RAY_SERVE_ENABLE_HA_PROXY=1`."""
    metrics_targets: Path | None = None
    """File in which Ray lists its nodes for Prometheus, `prom_metrics_service_discovery.json` in its
    temporary folder; unset means this machine, at `gateway.metrics_port`."""
    token_file: Path | None = None
    """File that contains the token of the cluster, if it has `RAY_AUTH_MODE=token`."""
    targets_dir: Path | None = None
    """Folder in which each replica registers the address of its metrics for Prometheus; unset means `targets`
    in `stack.data_dir`. The nodes of a cluster must share it."""
