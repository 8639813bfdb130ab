"""The sections of the service: its identity, model, objective, slots, telemetry and model monitoring."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from tidegate.settings.section import (
    Age,
    Label,
    OrderError,
    Port,
    Ratio,
    Seconds,
    Section,
    TextLike,
    UrlPath,
)

# module.submodule:attribute.attribute
OPTIONAL_IMPORT: Final = r"([^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*)?"


class Service(Section):
    """The identity of the service in events, spans and metrics, and the application that its replicas run."""

    name: Label = "flights"
    """Name of the service (`service.name`). With `service.app` the default is its top-level module."""
    environment: Label = "local"
    """Environment that it runs in (`service.environment`)."""
    namespace: Annotated[
        str,
        TextLike(
            r"[a-z0-9][a-z0-9_.]{0,62}",
            "at most 63 lower-case letters, digits, _ and ., and begin with a letter or digit",
        ),
    ] = "default"
    """Namespace of its data streams (`data_stream.namespace`)."""
    node_name: Annotated[
        str, TextLike(r"[A-Za-z0-9._-]{0,100}", "at most 100 letters, digits, ., _ and -")
    ] = ""
    """Name of the replica (`service.node.name`); empty means `<name>-<host>-<pid>`."""
    app: Annotated[
        str, TextLike(OPTIONAL_IMPORT, 'empty or MODULE:NAME such as "shop.main:app"')
    ] = ""
    """ASGI application that the replicas run, such as `shop.main:app`, or a function without arguments that
    returns it; empty means the model service, which serves `model.path`."""
    app_dir: Path = Path()
    """Folder that `service.app`, or a predictor in `model.path`, is imported from; by default the working
    directory."""
    ready: Annotated[
        str, TextLike(OPTIONAL_IMPORT, 'empty or MODULE:NAME such as "shop.main:is_ready"')
    ] = ""
    """Function that tells whether `service.app` can serve, such as `shop.main:is_ready`; it has no arguments
    and returns a boolean. Empty means from its start."""


class Model(Section):
    """The served model."""

    path: Path = Path("artefacts/flights")
    """Artefact folder written by `tidegate train`, a model file (docs/reference/model-files.md), or a
    predictor in Python as `package.module:Class`, which is imported from `service.app_dir`."""
    shadow_path: Path | None = None
    """Shadow model, which scores a fraction of the requests after the response and never answers clients."""
    shadow_share: Ratio = 0.1
    """Fraction of requests scored by the shadow model."""


class Slo(Section):
    """The service level objective, which rules, alerts and the autoscaler use."""

    latency_seconds: Seconds = 0.5
    """Response time, measured from the arrival at the gateway, that the fraction `latency_quantile` of
    requests must not exceed."""
    latency_quantile: float = Field(default=0.95, gt=0.5, lt=1)
    """Fraction of requests that must get a response within `latency_seconds`."""
    until: Literal["last_byte", "first_byte"] = "last_byte"
    """Which byte of the response must arrive within `latency_seconds`: the last one, or the first one of the
    body, for responses that are streams."""
    availability: float = Field(default=0.999, gt=0.5, lt=1)
    """Fraction of requests whose response must be neither a 5xx nor cut off by the replica."""


class Slots(Section):
    """Request slots: how many requests a replica processes concurrently. The others wait in the gateway."""

    per_replica: int = Field(default=2, ge=1, le=256)
    """Number of slots of a replica."""
    max: int | None = Field(default=None, ge=1, le=256)
    """Maximum number of slots of a running replica; unset means that the number does not change."""
    file: Path | None = None
    """File with the current number of slots, which a running replica follows; `tidegate up` sets its own."""
    wait_seconds: Seconds = 2.0
    """Maximum time that a request waits for a slot inside a replica; then it gets a 503."""
    wait_length: int = Field(default=64, ge=0, le=10_000)
    """Maximum number of requests that wait inside a replica; further ones get a 503."""
    paths: tuple[UrlPath, ...] = ()
    """Paths whose requests take a slot, with all below them; empty means all paths but those of probes,
    metrics, `/docs`, `/redoc`, `/openapi.json` and `telemetry.quiet_paths`."""

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
    """The simulated accelerator: a request occupies its slot for a configured time without using the CPU."""

    simulated: bool = False
    """Whether requests occupy their slot for the times below. Responses and views show this as simulated."""
    light_seconds: float = Field(default=0.030, ge=0, le=60)
    """Device time of a light request."""
    medium_seconds: float = Field(default=0.080, ge=0, le=60)
    """Device time of a medium request."""
    heavy_seconds: float = Field(default=0.200, ge=0, le=60)
    """Device time of a heavy request."""


class Telemetry(Section):
    """The telemetry of requests."""

    tracing: Literal["native", "opentelemetry", "off"] = "native"
    """`native` creates spans for sampled requests only; `opentelemetry` uses its instrumentations."""
    sample_ratio: Ratio = 0.05
    """Fraction of requests whose spans `native` records; errors and slow requests are always recorded."""
    caller_traces_per_second: float = Field(default=10.0, ge=0, le=1e6)
    """Maximum number of traces per second that `native` records because the caller's `traceparent` is
    sampled; further ones are subject to `sample_ratio`. 0 ignores the caller's decision."""
    slow_seconds: Seconds | None = None
    """Requests with a longer response time (until the byte of `slo.until`) count as slow; unset means
    `slo.latency_seconds`."""
    file_bytes: int = Field(default=64 * 2**20, ge=4096, le=2**40)
    """Maximum size of an event file; then a new file is started."""
    file_seconds: Seconds = 3600.0
    """Maximum age of an event file; then a new file is started."""
    metrics_port: Port | None = None
    """Port on which the process serves its metrics too, on `stack.metrics_host`, in addition to `/metrics`;
    unset means none. Each process needs a port of its own: `tidegate up` uses it for the first replica and
    the ports after it for the others."""
    quiet_paths: tuple[str, ...] = ("/live", "/ready", "/metrics")
    """Paths without events and spans: those of probes and scrapes."""


class Drift(Section):
    """Model monitoring: drift of inputs and predictions, and accuracy or errors by labels."""

    psi_warning: float = Field(default=0.1, gt=0, le=10)
    """Population stability index above which the drift of a distribution is a warning."""
    psi_critical: float = Field(default=0.25, gt=0, le=10)
    """Population stability index above which the drift of a distribution is critical."""
    samples: int = Field(default=1000, ge=1, le=10**9)
    """Minimum number of rows in a window to evaluate its drift."""
    fast_samples: int = Field(default=300, ge=1, le=10**9)
    """The same for the shortest window, which has critical alerts only."""
    significance: float = Field(default=0.01, gt=0, lt=1)
    """Accepted probability of a false finding in a window, over all features together."""
    dataset_share: float = Field(default=0.5, gt=0, le=1)
    """Fraction of drifted features at which the whole data set counts as drifted."""
    hold_seconds: Seconds = 120.0
    """Time that drift must last before an alert fires."""
    outcomes: int = Field(default=300, ge=30, le=10**9)
    """Minimum number of labels in a window to evaluate the accuracy."""
    accuracy_drop_warning: Ratio = 0.03
    """Drop of the accuracy below the accuracy on held-out rows that is a warning; for a regressor, drop of
    the fraction of actual values inside the predicted interval."""
    accuracy_drop_critical: Ratio = 0.06
    """Drop of the accuracy below the accuracy on held-out rows that is critical."""
    error_rise_warning: float = Field(default=0.15, gt=0, le=100)
    """Rise of a regressor's mean absolute error above that on held-out rows, as a fraction of it, that is a
    warning."""
    error_rise_critical: float = Field(default=0.3, gt=0, le=100)
    """Rise of a regressor's mean absolute error above that on held-out rows, as a fraction of it, that is
    critical."""
    error_z: float = Field(default=4.5, gt=0, le=20)
    """Number of standard deviations by which the error rate, or the mean absolute error of a regressor, must
    exceed that on held-out rows for concept drift."""
    label_lag_seconds: Age = 172_800.0
    """Median lag of labels above which there is a warning."""
    label_accept_seconds: Age = 604_800.0
    """Maximum age of a prediction at which a label for it is accepted."""
    keep_rows_share: Ratio = 0.0
    """Fraction of requests at /predict whose rows are stored as events, for `tidegate retrain`. 0 by default,
    because rows may contain personal data and need disk space."""
    label_memory: int = Field(default=200_000, ge=1, le=10**8)
    """Number of labelled prediction ids that each replica remembers, so that no label is counted twice."""
    prediction_key_file: Path | None = None
    """File with the key that signs prediction ids; unset means `prediction.key` in the data folder."""
    watch: bool = True
    """Whether the stack runs `tidegate monitor watch`, which evaluates each label when it arrives."""
    watch_port: Port = 9105
    """Port of the metrics of `tidegate monitor watch`."""
    segments: tuple[str, ...] = ()
    """Categorical features whose values are stored in the event of each request, such as `["carrier"]`, so
    that `tidegate monitor report` can compare the accuracy by value. Empty by default, because values may be
    personal data."""

    @model_validator(mode="after")
    def _in_order(self) -> Drift:
        if self.psi_warning >= self.psi_critical:
            raise OrderError(
                "psi_warning < psi_critical",
                psi_warning=self.psi_warning,
                psi_critical=self.psi_critical,
            )
        if self.error_rise_warning >= self.error_rise_critical:
            raise OrderError(
                "error_rise_warning < error_rise_critical",
                error_rise_warning=self.error_rise_warning,
                error_rise_critical=self.error_rise_critical,
            )
        return self
