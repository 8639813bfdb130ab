"""Every setting of Tidegate, read once.

Where a value comes from, first match wins: an environment variable (``TIDEGATE_SLO__LATENCY_SECONDS``),
then ``tidegate.toml`` (the file named by ``TIDEGATE_CONFIG``, else the one in the working directory),
then the default here. An unknown or bad setting is a `SettingsError` that names it.
"""

from __future__ import annotations

import os
import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

ENV_PREFIX = "TIDEGATE_"
ENV_DELIMITER = "__"
# Variables with our prefix that are not settings: where installed programs and the file lie, and what
# tests must not skip.
ENV_RESERVED = frozenset({"TIDEGATE_CACHE", "TIDEGATE_CONFIG", "TIDEGATE_REQUIRE_ALL"})

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Ratio = Annotated[float, Field(ge=0, le=1)]


class SettingsError(ValueError):
    """A setting is unknown or bad. Its text names each one, where it stands and what is wrong."""


class Section(BaseModel):
    """A table of tidegate.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Service(Section):
    """Who the service is, in every event, span and metric."""

    name: str = Field(default="flights", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    """The service's name (`service.name`)."""
    environment: str = Field(default="local", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    """Where it runs (`service.environment`)."""
    namespace: str = Field(default="default", pattern=r"^[a-z0-9][a-z0-9_.]{0,62}$")
    """The namespace of its data streams (`data_stream.namespace`)."""
    node_name: str = Field(default="", pattern=r"^[A-Za-z0-9._-]{0,100}$")
    """The replica's own name (`service.node.name`); empty means `<name>-<host>-<pid>`."""


class Model(Section):
    """The model that is served."""

    path: Path = Path("artefacts/flights")
    """An artefact folder made by `tidegate train`, or any scikit-learn classifier saved by joblib."""


class Slo(Section):
    """The objective. It is set here, once; rules, alerts and the autoscaler follow."""

    latency_seconds: Seconds = 0.5
    """The response time, as the client feels it, that `latency_quantile` of requests must keep."""
    latency_quantile: float = Field(default=0.95, gt=0.5, lt=1)
    """The share of requests that must answer within `latency_seconds`."""
    availability: float = Field(default=0.999, gt=0.5, lt=1)
    """The share of requests that must not fail with a 5xx."""


class Slots(Section):
    """A replica works on a fixed number of requests at once; the rest wait in the gateway."""

    per_replica: int = Field(default=2, ge=1, le=256)
    """Requests that one replica works on at once."""
    wait_seconds: Seconds = 2.0
    """How long a request may wait for a slot inside a replica before it gets a 503."""
    wait_length: int = Field(default=64, ge=0, le=10_000)
    """How many requests may wait inside a replica before the next one gets a 503."""


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
    slow_seconds: float | None = Field(default=None, gt=0)
    """From which response time a request counts as slow; unset means the objective's."""
    file_bytes: int = Field(default=64 * 2**20, ge=4096)
    """Size at which an event file is closed and the next begun."""
    file_seconds: Seconds = 3600.0
    """Age at which an event file is closed and the next begun."""
    quiet_paths: tuple[str, ...] = ("/live", "/ready", "/metrics")
    """Paths that leave no event line and no span: probes and scrapes."""


class Gateway(Section):
    """HAProxy in front of the replicas: it queues, retries and stamps the arrival."""

    port: Port = 8000
    """Where clients send their requests."""
    metrics_port: Port = 8405
    """HAProxy's own Prometheus exporter."""
    queue_seconds: Seconds = 60.0
    """How long a request may wait in the queue before it gets a 503."""
    request_bytes: int = Field(default=1_048_576, ge=16_384, le=16 * 2**20)
    """Largest request body; it is held in memory so that a failed attempt can be repeated."""
    response_seconds: Seconds = 60.0
    """How long a replica may take to answer."""


class Replicas(Section):
    """The replicas of the service on this machine."""

    first_port: Port = 18001
    """Port of the first replica; the others follow."""
    start: int = Field(default=1, ge=1)
    """Replicas at the start."""
    min: int = Field(default=1, ge=1)
    """Never fewer."""
    max: int = Field(default=6, ge=1, le=64)
    """Never more."""
    start_seconds: Seconds = 60.0
    """How long a replica may take to become ready before it is replaced."""
    drain_seconds: Seconds = 30.0
    """How long a replica may take to finish its requests before it is killed."""

    @model_validator(mode="after")
    def _in_order(self) -> Replicas:
        if not self.min <= self.start <= self.max:
            raise ValueError(f"needs min ≤ start ≤ max, got {self.min}, {self.start}, {self.max}")
        return self


class Prometheus(Section):
    """The Prometheus that the stack runs."""

    port: Port = 9090
    """Where it listens."""
    scrape_seconds: float = Field(default=2.0, gt=0, le=5)
    """How often it reads metrics, and evaluates rules. A rate over 15 s needs at least three samples."""
    retention: str = Field(default="7d", pattern=r"^[0-9]+(ms|s|m|h|d|w|y)$")
    """How long it keeps samples."""


class Elasticsearch(Section):
    """The Elasticsearch to write to, when `store.kind` is `elasticsearch`."""

    url: str = Field(default="http://127.0.0.1:9200", pattern=r"^https?://.+")
    """Its address."""
    username: str = ""
    """Its user; empty means no authentication."""
    password_file: Path | None = None
    """A file that holds the password."""
    ca_file: Path | None = None
    """A file with the certificate authority to trust, for https."""
    retention: str = Field(default="7d", pattern=r"^[0-9]+[hd]$")
    """How long the data streams keep events."""


class Embedded(Section):
    """The embedded store, when `store.kind` is `embedded`."""

    retention: str = Field(default="7d", pattern=r"^[0-9]{1,6}[hd]$")
    """How long it keeps events."""


class Store(Section):
    """Where events can be searched."""

    kind: Literal["embedded", "elasticsearch"] = "embedded"
    """The embedded store (tantivy), or an Elasticsearch."""
    elasticsearch: Elasticsearch = Elasticsearch()
    embedded: Embedded = Embedded()


class Collector(Section):
    """What carries event files into the store."""

    metrics_port: Port = 9101
    """Its own metrics."""
    poll_seconds: Seconds = 0.2
    """How often files are looked at."""
    batch_events: int = Field(default=1000, ge=1, le=50_000)
    """Events in one delivery, at most."""
    batch_bytes: int = Field(default=4 * 2**20, ge=65_536, le=64 * 2**20)
    """Bytes in one delivery, at most."""
    line_bytes: int = Field(default=1_048_576, ge=1024)
    """A longer line is set aside as corrupt."""
    keep_seconds: float = Field(default=86_400.0, ge=0)
    """Delivered, closed files older than this are deleted."""
    keep_bytes: int = Field(default=2**30, ge=0)
    """Delivered, closed files are deleted, oldest first, while they are more than this in all."""


class Hpa(Section):
    """The Kubernetes HPA v2 formula and its defaults."""

    target: float = Field(default=0.7, gt=0, le=10)
    """Wanted requests in system per slot."""
    tolerance: Ratio = 0.1
    """No change while the ratio is this close to 1."""
    down_stabilization_seconds: float = Field(default=300.0, ge=0)
    """Down follows the largest recommendation of this long."""


class Autoscaler(Section):
    """The sidecar that reads Prometheus and sets the number of replicas."""

    enabled: bool = True
    """Whether it runs."""
    policy: Literal["hpa", "sloq"] = "hpa"
    """Which policy decides: `hpa` keeps a utilisation, `sloq` the latency objective."""
    tick_seconds: Seconds = 5.0
    """How often it decides."""
    stale_seconds: Seconds = 15.0
    """Signals older than this are stale: the number is held."""
    metrics_port: Port = 9102
    """Its own metrics."""
    resizer_token_file: Path | None = None
    """A file that holds the token of a resizer at http://HOST:PORT; a Unix socket needs none."""
    hpa: Hpa = Hpa()


class Stack(Section):
    """The embedded size."""

    data_dir: Path = Path(".tidegate")
    """The folder that holds everything the stack writes."""
    host: str = "127.0.0.1"
    """The address that the gateway and Prometheus bind to; all else stays on 127.0.0.1."""


class Settings(BaseSettings):
    """All of them, immutable."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter=ENV_DELIMITER,
        extra="forbid",
        frozen=True,
    )

    service: Service = Service()
    model: Model = Model()
    slo: Slo = Slo()
    slots: Slots = Slots()
    device: Device = Device()
    telemetry: Telemetry = Telemetry()
    gateway: Gateway = Gateway()
    replicas: Replicas = Replicas()
    prometheus: Prometheus = Prometheus()
    store: Store = Store()
    collector: Collector = Collector()
    autoscaler: Autoscaler = Autoscaler()
    stack: Stack = Stack()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the file that `load` read; nothing else."""
        del dotenv_settings, file_secret_settings
        return (init_settings, env_settings, InitSettingsSource(settings_cls, _read_file()))

    @property
    def slow_seconds(self) -> float:
        """From which response time a request counts as slow, in seconds."""
        return self.telemetry.slow_seconds or self.slo.latency_seconds

    @property
    def log_dir(self) -> Path:
        """The folder of event files."""
        return self.stack.data_dir / "logs"


def config_file() -> Path | None:
    """The settings file in force, or None.

    Raises:
        SettingsError: `TIDEGATE_CONFIG` names a file that is not there.
    """
    named = os.environ.get("TIDEGATE_CONFIG")
    path = Path(named or "tidegate.toml")
    if path.is_file():
        return path
    if named:
        raise SettingsError(f"TIDEGATE_CONFIG: there is no file {named}")
    return None


def load(**overrides: Any) -> Settings:
    """Read every setting; keyword arguments (one a section) win over all sources.

    Raises:
        SettingsError: a setting is unknown or bad; the text has a line for each.
    """
    unknown = [name for name in os.environ if _is_unknown(name)]
    if unknown:
        raise SettingsError("\n".join(f"{name}: there is no such setting" for name in unknown))
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(error))) from error


@cache
def setting_names() -> dict[str, tuple[Any, str]]:
    """Each setting's dotted name, with its default and its meaning, in file order."""
    return dict(_walk(Settings, ""))


def _walk(section: type[BaseModel], prefix: str) -> list[tuple[str, tuple[Any, str]]]:
    found: list[tuple[str, tuple[Any, str]]] = []
    for name, field in section.model_fields.items():
        if isinstance(field.default, BaseModel):
            found += _walk(type(field.default), f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", (field.default, field.description or "")))
    return found


def _is_unknown(variable: str) -> bool:
    if not variable.startswith(ENV_PREFIX) or variable in ENV_RESERVED:
        return False
    dotted = variable.removeprefix(ENV_PREFIX).lower().replace(ENV_DELIMITER, ".")
    # A whole section can be given as JSON, so a section's own name is known too.
    return not any(name == dotted or name.startswith(f"{dotted}.") for name in setting_names())


def _read_file() -> dict[str, Any]:
    path = config_file()
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error


def _explain(error: ValidationError) -> list[str]:
    lines = []
    for item in error.errors(include_url=False):
        name = ".".join(str(part) for part in item["loc"])
        variable = ENV_PREFIX + name.upper().replace(".", ENV_DELIMITER)
        where = variable if variable in os.environ else str(config_file() or "the arguments")
        if item["type"] == "extra_forbidden":
            lines.append(f"{where}: {name}: there is no such setting")
        else:
            given = (
                "" if isinstance(item["input"], dict | BaseModel) else f" (got {item['input']!r})"
            )
            lines.append(f"{where}: {name}: {item['msg']}{given}")
    return lines
