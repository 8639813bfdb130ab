"""The sections of the replicas, Prometheus, autoscaler and resizer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from tidegate.settings.replica_command import check_command
from tidegate.settings.schedule import ScheduleWindow
from tidegate.settings.section import (
    OptionalUrl,
    OrderError,
    Port,
    Ratio,
    Seconds,
    SecondsOrZero,
    Section,
    TextLike,
    UrlPath,
)

# During a rollout old and new replicas exist, so the gateway resolves twice this number of addresses; a DNS
# response of 8 KiB, the largest that HAProxy accepts, has about 500.
MAX_REPLICAS: Final = 250


class Replicas(Section):
    """The replicas of the service: processes, containers or pods."""

    command: Annotated[tuple[str, ...], AfterValidator(check_command)] = ()
    """Command of a replica, as a list of words such as `["gunicorn", "shop.main:app", "--bind",
    "{host}:{port}"]`; empty means that Tidegate runs `service.app` or the model service. Placeholders:
    `{host}`, `{port}`, `{metrics_port}`, `{node_name}`, `{slots}`. What it has to offer:
    docs/reference/replica-contract.md."""
    ready_path: UrlPath = "/ready"
    """Path at which a replica answers 200 when it can serve, and another status when it cannot."""
    first_port: Port = 18001
    """Port of the first replica; the others use the ports after it."""
    start: int = Field(default=1, ge=0)
    """Number of replicas at the start; without a value of its own at least `min`."""
    min: int = Field(default=1, ge=0)
    """Minimum number of replicas. With 0 the last replica is stopped after `autoscaler.idle_seconds` without
    requests, and the next request waits in the gateway until a replica is ready. Not supported in Docker
    Compose."""
    max: int = Field(default=6, ge=1, le=MAX_REPLICAS)
    """Maximum number of replicas."""
    start_seconds: Seconds = 60.0
    """Maximum time until a replica is ready; then it is replaced."""
    drain_seconds: Seconds = 30.0
    """Maximum time of a stopping replica to finish its requests; then it is killed."""

    @model_validator(mode="after")
    def _in_order(self) -> Replicas:
        if "start" not in self.model_fields_set:
            self.__dict__["start"] = max(self.start, self.min)  # the model is frozen
        if not self.min <= self.start <= self.max:
            raise OrderError("min ≤ start ≤ max", min=self.min, start=self.start, max=self.max)
        return self


class Prometheus(Section):
    """The Prometheus server of the stack."""

    port: Port = 9090
    """Port of Prometheus."""
    scrape_seconds: float = Field(default=2.0, gt=0, le=5)
    """Interval of scrapes and rule evaluations. At most 5: a rate over 15 s needs at least three samples."""
    retention: Annotated[
        str,
        # Prometheus counts it in nanoseconds, so it is at most 292 years.
        TextLike(
            r"[1-9][0-9]{0,7}[sm]|[1-9][0-9]{0,4}[hd]|[1-9][0-9]{0,3}w|[1-9][0-9]?y",
            "a duration such as 36h, 7d or 2w, of at most 99y",
        ),
    ] = "7d"
    """Retention of samples."""


class Hpa(Section):
    """The policy `hpa`: the formula of the Kubernetes HPA v2, with its defaults."""

    target: float = Field(default=0.7, gt=0, le=10)
    """Target number of requests in the system per slot."""
    tolerance: Ratio = 0.1
    """No change while the ratio of the current to the target value is this close to 1."""
    down_stabilization_seconds: SecondsOrZero = 300.0
    """Scaling down follows the largest recommendation within this window."""


class Autoscaler(Section):
    """The autoscaler, which queries Prometheus and sets the number of replicas."""

    enabled: bool = True
    """Whether the autoscaler runs."""
    policy: str = "sloq"
    """Scaling policy; `sloq` scales for the latency objective. Others: docs/reference/policies.md."""
    priority: Literal["cost", "balanced", "latency"] = "balanced"
    """What weighs more with `sloq` where both cannot be had: fewer replicas, or fewer requests over the
    objective (docs/how-to/scaling.md)."""
    dry_run: bool = False
    """Whether decisions are only logged, and the number of replicas is not changed."""
    schedule: tuple[ScheduleWindow, ...] = ()
    """Bounds on the number of replicas by the time of day, each with `cron`, `minutes`, `min`, `max` and
    `timezone` (docs/how-to/scaling.md)."""
    predictive: bool = True
    """Whether replicas are started ahead of a rise that most of the last seven days had at this time of day,
    under any policy (docs/explanation/daily-rises.md)."""
    tick_seconds: Seconds = 5.0
    """Interval between decisions."""
    stale_seconds: Seconds = 15.0
    """Maximum age of signals; with older ones the number of replicas does not change."""
    idle_seconds: Seconds = 300.0
    """With `replicas.min = 0`: the last replica is stopped after this time without requests."""
    metrics_port: Port = 9102
    """Port of the autoscaler's metrics."""
    gateway_metrics_url: OptionalUrl = ""
    """URL of the gateway's metrics, from which `sloq` reads what arrives and what waits each half second;
    empty means `gateway.metrics_port` of this machine."""
    scaler: Literal["resizer", "keda"] = "resizer"
    """What brings the number of replicas to the decision: `resizer`, the one of `--resizer`, or `keda`, which
    asks the autoscaler for it (in Kubernetes: docs/how-to/scaling-kubernetes.md)."""
    external_scaler_port: Port = 9107
    """Port on which KEDA asks for the number (gRPC), on `stack.metrics_host`; only with `scaler = "keda"`."""
    external_scaler_cert_file: Path | None = None
    """File with the certificate of that port, which encrypts it; unset means no TLS."""
    external_scaler_key_file: Path | None = None
    """File with the key of this certificate."""
    external_scaler_client_ca_file: Path | None = None
    """File with the certificate authority of KEDA's client certificate; without one signed by it nobody is
    answered (mutual TLS)."""
    resizer_token_file: Path | None = None
    """File that contains the token for a resizer at http://HOST:PORT; a Unix socket needs no token."""
    hpa: Hpa = Hpa()

    @model_validator(mode="after")
    def _has_certificate_and_key(self) -> Autoscaler:
        cert, key = self.external_scaler_cert_file, self.external_scaler_key_file
        if (cert is None) != (key is None) or (self.external_scaler_client_ca_file and not cert):
            raise ValueError(
                "external_scaler_cert_file, external_scaler_key_file: set both for TLS, and both beside"
                " external_scaler_client_ca_file"
            )
        return self


class Resizer(Section):
    """The resizer, which sets the number of replicas in Docker Compose, Kubernetes or Ray Serve."""

    backend: Literal["compose", "kubernetes", "ray"] = "compose"
    """What runs the replicas: `compose`, the Docker engine, `kubernetes`, a Deployment, or `ray`, the
    deployment of Ray Serve that `[ray]` names."""
    port: Port = 9103
    """Port of the resizer's HTTP interface."""
    token_file: Path | None = None
    """File that contains the token that each request must contain."""
    docker_socket: Path = Path("/var/run/docker.sock")
    """Socket of the Docker engine."""
    service: Annotated[
        str,
        TextLike(
            r"[a-z0-9][a-z0-9_-]{0,62}",
            "at most 63 lower-case letters, digits, _ and -, and begin with a letter or digit",
        ),
    ] = "model"
    """Compose service that is scaled; it belongs to the resizer's own project."""
    deployment: Annotated[
        str,
        TextLike(
            r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?",
            "the name of a Deployment: at most 253 lower-case letters, digits, - and .",
        ),
    ] = ""
    """Deployment whose pods are the replicas, for `backend = "kubernetes"` and for KEDA."""
    kubernetes_namespace: Annotated[
        str,
        TextLike(
            r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?",
            "empty or a namespace: at most 63 lower-case letters, digits and -",
        ),
    ] = ""
    """Namespace of the Deployment; empty means that of the own pod, or of the kubeconfig file's context."""


class Stack(Section):
    """The stack in local mode."""

    data_dir: Path = Path(".tidegate")
    """Folder for all files that the stack writes."""
    host: str = "127.0.0.1"
    """Address that the gateway and Prometheus listen on."""
    metrics_host: str = "127.0.0.1"
    """Address on which the collector, the autoscaler, the exporter and, with `telemetry.metrics_port`, the
    service serve their metrics."""
