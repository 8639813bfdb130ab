"""The sections that a replica reads: who it is, what it serves and how the model is watched."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from tidegate.settings.section import (
    Label,
    OrderError,
    Port,
    Ratio,
    Seconds,
    Section,
    text_like,
)


class Service(Section):
    """Who the service is, in every event, span and metric."""

    name: Label = "flights"
    """The service's name (`service.name`)."""
    environment: Label = "local"
    """Where it runs (`service.environment`)."""
    namespace: Annotated[
        str,
        text_like(
            r"[a-z0-9][a-z0-9_.]{0,62}",
            "at most 63 lower-case letters, digits, _ and ., and begin with a letter or digit",
        ),
    ] = "default"
    """The namespace of its data streams (`data_stream.namespace`)."""
    node_name: Annotated[
        str, text_like(r"[A-Za-z0-9._-]{0,100}", "at most 100 letters, digits, ., _ and -")
    ] = ""
    """The replica's own name (`service.node.name`); empty means `<name>-<host>-<pid>`."""


class Model(Section):
    """The model that is served."""

    path: Path = Path("artefacts/flights")
    """An artefact folder made by `tidegate train`, or any scikit-learn classifier saved by joblib."""
    shadow_path: Path | None = None
    """Another one that scores a share of the requests after they were answered, and answers nobody."""
    shadow_share: Ratio = 0.1
    """Which share."""


class Slo(Section):
    """The objective. It is set here, once; rules, alerts and the autoscaler follow."""

    latency_seconds: Seconds = 0.5
    """The response time, as the client feels it, that `latency_quantile` of requests must keep."""
    latency_quantile: float = Field(default=0.95, gt=0.5, lt=1)
    """The share of requests that must answer within `latency_seconds`."""
    availability: float = Field(default=0.999, gt=0.5, lt=1)
    """The share of requests that must not fail with a 5xx."""


class Slots(Section):
    """A replica works on so many requests at once; the rest wait in the gateway."""

    per_replica: int = Field(default=2, ge=1, le=256)
    """Requests that one replica works on at once."""
    max: int | None = Field(default=None, ge=1, le=256)
    """As many slots as a running replica may be given; unset means that they stay as they are."""
    file: Path | None = None
    """A file with the number in force, which a running replica follows; `tidegate up` has its own."""
    wait_seconds: Seconds = 2.0
    """How long a request may wait for a slot inside a replica before it gets a 503."""
    wait_length: int = Field(default=64, ge=0, le=10_000)
    """How many requests may wait inside a replica before the next one gets a 503."""

    @property
    def effective_max(self) -> int:
        """The maximum number of slots of a replica: `max`, or `per_replica` if it is unset."""
        return self.per_replica if self.max is None else self.max

    @model_validator(mode="after")
    def _in_order(self) -> Slots:
        if self.effective_max < self.per_replica:
            raise OrderError("per_replica ≤ max", per_replica=self.per_replica, max=self.max)
        return self


class Device(Section):
    """The simulated accelerator: it holds a slot for a set time, instead of the CPU."""

    simulated: bool = False
    """Whether requests hold their slot for the times below. Always shown as simulated."""
    light_seconds: float = Field(default=0.030, ge=0, le=60)
    """Device time of a light request."""
    medium_seconds: float = Field(default=0.080, ge=0, le=60)
    """Device time of a medium request."""
    heavy_seconds: float = Field(default=0.200, ge=0, le=60)
    """Device time of a heavy request."""


class Telemetry(Section):
    """What a request leaves behind."""

    tracing: Literal["native", "opentelemetry", "off"] = "native"
    """`native` makes spans for kept requests only; `opentelemetry` is its FastAPI instrumentation."""
    sample_ratio: Ratio = 0.05
    """Share of ordinary requests whose spans `native` keeps; errors and slow ones are all kept."""
    caller_traces_per_second: float = Field(default=10.0, ge=0)
    """Traces a second that `native` keeps because of their caller's `traceparent`; beyond, `sample_ratio`
    decides. 0 believes no caller."""
    slow_seconds: float | None = Field(default=None, gt=0)
    """From which response time a request counts as slow; unset means the objective's."""
    file_bytes: int = Field(default=64 * 2**20, ge=4096)
    """Size at which an event file is closed and the next begun."""
    file_seconds: Seconds = 3600.0
    """Age at which an event file is closed and the next begun."""
    quiet_paths: tuple[str, ...] = ("/live", "/ready", "/metrics")
    """Paths that leave no event line and no span: probes and scrapes."""


class Drift(Section):
    """How the model is watched: what it takes, what it answers, and whether that was right."""

    psi_warning: float = Field(default=0.1, gt=0, le=10)
    """From which population stability index a distribution counts as drifted: a warning."""
    psi_critical: float = Field(default=0.25, gt=0, le=10)
    """From which it counts as drifted far: critical."""
    samples: int = Field(default=1000, ge=1)
    """Rows in a window below which nothing is said about it."""
    fast_samples: int = Field(default=300, ge=1)
    """The same for the shortest window, which only knows critical."""
    significance: float = Field(default=0.01, gt=0, lt=1)
    """Chance of a false finding in a window that is accepted, over all features together."""
    dataset_share: float = Field(default=0.5, gt=0, le=1)
    """Share of features that must have drifted for all of the data to count as drifted."""
    hold_seconds: Seconds = 120.0
    """How long drift must hold before anyone is told."""
    outcomes: int = Field(default=300, ge=30)
    """Labels in a window below which nothing is said about how often the model was right."""
    accuracy_drop_warning: Ratio = 0.03
    """By how much accuracy may fall below the held-out rows' before it is a warning."""
    accuracy_drop_critical: Ratio = 0.06
    """The same for critical."""
    error_z: float = Field(default=4.5, gt=0, le=20)
    """Standard deviations by which the error rate must be above the held-out rows' for concept drift."""
    label_lag_seconds: Seconds = 172_800.0
    """A median lag of labels above this is a warning."""
    label_accept_seconds: Seconds = 604_800.0
    """How long after its prediction a label is taken."""
    keep_rows_share: Ratio = 0.0
    """Share of requests at /predict whose rows are kept as events, for `tidegate retrain`. None by default,
    as rows may be personal, and take space."""
    label_memory: int = Field(default=200_000, ge=1)
    """Prediction ids with a label that each replica remembers, to count none twice."""
    prediction_key_file: Path | None = None
    """A file with the key that signs prediction ids; unset means `prediction.key` in the data folder."""
    watch: bool = True
    """Whether the stack runs `tidegate monitor watch`, which reads each label as it arrives."""
    watch_port: Port = 9105
    """Its metrics."""
    segments: tuple[str, ...] = ()
    """Features of the category kind whose values each request's event carries, such as `["carrier"]`: what
    `tidegate monitor report` compares accuracy by. None by default, as a value may be personal."""

    @model_validator(mode="after")
    def _in_order(self) -> Drift:
        if self.psi_warning >= self.psi_critical:
            raise OrderError(
                "psi_warning < psi_critical",
                psi_warning=self.psi_warning,
                psi_critical=self.psi_critical,
            )
        return self
