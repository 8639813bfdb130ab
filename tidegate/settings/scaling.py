"""The sections of what carries and sizes the service: gateway, replicas, Prometheus, autoscaler, resizer."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated

from pydantic import Field, IPvAnyNetwork, model_validator

from tidegate.settings.schedule import check_window
from tidegate.settings.section import OrderError, Port, Ratio, Seconds, Section, text_like


class Gateway(Section):
    """HAProxy in front of the replicas: it queues, retries and stamps the arrival."""

    port: Port = 8000
    """Where clients send their requests."""
    metrics_port: Port = 8405
    """HAProxy's own Prometheus exporter."""
    queue_seconds: Seconds = 60.0
    """How long a request may wait in the queue before it gets a 503; also while no replica is up."""
    queue_length: int = Field(default=2000, ge=1, le=2000)
    """How many requests may wait in the queue before the next one gets a 503."""
    queue_bytes: int = Field(default=128 * 2**20, ge=16_384)
    """How many bytes of bodies the gateway may hold before the next large request gets a 503. Bodies up to
    16 KiB are not counted."""
    request_bytes: int = Field(default=1_048_576, ge=16_384, le=16 * 2**20)
    """Largest request body; it is held in memory so that a failed attempt can be repeated."""
    response_seconds: Seconds = 60.0
    """How long a replica may take to answer."""
    connections_per_source: int = Field(default=1000, ge=1, le=2000)
    """Connections that one address may have open; further ones are closed. The gateway has 2,000 in all."""
    unlimited_sources: tuple[IPvAnyNetwork, ...] = (
        IPv4Network("127.0.0.0/8"),
        IPv6Network("::1/128"),
    )
    """Addresses and networks without that limit: this machine; add that of a reverse proxy in front."""

    @model_validator(mode="after")
    def _one_body_fits(self) -> Gateway:
        if self.queue_bytes < self.request_bytes:
            raise ValueError(
                f"queue_bytes is {self.queue_bytes}, less than one body (request_bytes is"
                f" {self.request_bytes}); raise it to a multiple of that"
            )
        return self


class Replicas(Section):
    """The replicas of the service on this machine."""

    first_port: Port = 18001
    """Port of the first replica; the others follow."""
    start: int = Field(default=1, ge=0)
    """Replicas at the start."""
    min: int = Field(default=1, ge=0)
    """Never fewer. With 0 the last one leaves when nothing came for `autoscaler.idle_seconds`, and the next
    request waits in the gateway until one is back; not in Docker Compose."""
    max: int = Field(default=6, ge=1, le=64)
    """Never more."""
    start_seconds: Seconds = 60.0
    """How long a replica may take to become ready before it is replaced."""
    drain_seconds: Seconds = 30.0
    """How long a replica may take to finish its requests before it is killed."""

    @model_validator(mode="after")
    def _in_order(self) -> Replicas:
        if not self.min <= self.start <= self.max:
            raise OrderError("min ≤ start ≤ max", min=self.min, start=self.start, max=self.max)
        return self


class Prometheus(Section):
    """The Prometheus that the stack runs."""

    port: Port = 9090
    """Where it listens."""
    scrape_seconds: float = Field(default=2.0, gt=0, le=5)
    """How often it reads metrics, and evaluates rules. A rate over 15 s needs at least three samples."""
    retention: Annotated[
        str, text_like(r"[0-9]+(ms|s|m|h|d|w|y)", "a length of time such as 36h, 7d or 2w")
    ] = "7d"
    """How long it keeps samples."""


class Hpa(Section):
    """The Kubernetes HPA v2 formula and its defaults."""

    target: float = Field(default=0.7, gt=0, le=10)
    """Wanted requests in system per slot."""
    tolerance: Ratio = 0.1
    """No change while the ratio is this close to 1."""
    down_stabilization_seconds: float = Field(default=300.0, ge=0)
    """Down follows the largest recommendation of this long."""


class ScheduleWindow(Section):
    """Bounds at some time of the day or the week."""

    cron: str
    """When it opens: minute, hour, day of month, month and day of week."""
    minutes: int = 1
    """How long it stays open from each minute that `cron` matches; a day at most."""
    min: int | None = Field(default=None, ge=1)
    """Never fewer replicas meanwhile."""
    max: int | None = Field(default=None, ge=1)
    """Never more replicas meanwhile."""
    timezone: str = "UTC"
    """The time zone of `cron`, such as Europe/Berlin."""

    @model_validator(mode="after")
    def _is_valid(self) -> ScheduleWindow:
        check_window(
            self.cron,
            minutes=self.minutes,
            min_replicas=self.min,
            max_replicas=self.max,
            timezone=self.timezone,
        )
        return self


class Autoscaler(Section):
    """The sidecar that reads Prometheus and sets the number of replicas."""

    enabled: bool = True
    """Whether it runs."""
    policy: str = "sloq"
    """The scaling policy: `sloq` keeps the objective. Others: docs/reference/policies.md."""
    dry_run: bool = False
    """Whether it only decides and writes down, and leaves the number of replicas alone."""
    schedule: tuple[ScheduleWindow, ...] = ()
    """Bounds by the time of day: cron, minutes, min, max and timezone (docs/how-to/scaling.md)."""
    tick_seconds: Seconds = 5.0
    """How often it decides."""
    stale_seconds: Seconds = 15.0
    """Signals older than this are stale: the number is held."""
    idle_seconds: Seconds = 300.0
    """With `replicas.min = 0`: the last replica leaves when nothing has come for this long."""
    metrics_port: Port = 9102
    """Its own metrics."""
    resizer_token_file: Path | None = None
    """A file that holds the token of a resizer at http://HOST:PORT; a Unix socket needs none."""
    hpa: Hpa = Hpa()


class Resizer(Section):
    """What starts and stops replicas where the stack's own supervisor does not: in Docker Compose."""

    port: Port = 9103
    """Where it listens, with a token."""
    token_file: Path | None = None
    """A file that holds the token that every request must carry."""
    docker_socket: Path = Path("/var/run/docker.sock")
    """The Docker engine's socket."""
    service: Annotated[
        str,
        text_like(
            r"[a-z0-9][a-z0-9_-]{0,62}",
            "at most 63 lower-case letters, digits, _ and -, and begin with a letter or digit",
        ),
    ] = "model"
    """The Compose service whose replicas it sets; of its own project, and no other."""


class Stack(Section):
    """The embedded size."""

    data_dir: Path = Path(".tidegate")
    """The folder that holds everything the stack writes."""
    host: str = "127.0.0.1"
    """The address that the gateway and Prometheus bind to."""
    metrics_host: str = "127.0.0.1"
    """The address that everything else binds to: metrics of collector, autoscaler and exporter."""
