"""The section of the gateway."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

from pydantic import Field, IPvAnyNetwork, model_validator

from tidegate.settings.section import Port, Seconds, Section, UrlPath


class Gateway(Section):
    """HAProxy in front of the replicas: it queues and retries requests, and adds their arrival time."""

    port: Port = 8000
    """Port that receives the requests of clients."""
    metrics_port: Port = 8405
    """Port of HAProxy's Prometheus exporter."""
    queue_seconds: Seconds = 60.0
    """Maximum time of a request in the queue, also while no replica is ready; then it gets a 503."""
    queue_length: int = Field(default=1000, ge=1, le=2000)
    """Maximum number of requests in the queue; further ones get a 503. More than 1,500 count as 1,500, below
    the 2,000 connections, as requests beyond those would wait unmeasured. Time may limit it earlier
    (docs/explanation/gateway.md)."""
    queue_bytes: int = Field(default=128 * 2**20, ge=16_384, le=2**40)
    """Maximum total size of the request bodies that the gateway buffers; further large requests get a 503.
    Bodies up to 16 KiB are not counted."""
    request_bytes: int = Field(default=1_048_576, ge=16_384, le=16 * 2**20)
    """Maximum size of a request body."""
    repeat_bytes: int = Field(default=131_072, ge=16_384, le=16 * 2**20)
    """Maximum size of a request body that the gateway holds in memory as a whole, so that the request can be
    repeated on another replica. A larger body is passed on as it arrives, and needs a Content-Length. The
    gateway's memory is bounded by 2,000 of these."""
    response_seconds: Seconds = 60.0
    """Maximum time until a replica responds. A request that holds its slot for longer is then cancelled."""
    idempotent_paths: tuple[UrlPath, ...] = ("/predict", "/v2/")
    """Paths whose requests of any method may be processed twice with the same result; one that ends with /
    stands for all paths below it. If a replica fails before it responds, they are repeated on another one, as
    those of GET are."""
    keep_alive: bool | None = None
    """Whether the gateway sends several requests over one connection to a replica. The replica's server must
    then keep an idle connection for 65 seconds or more: a request that arrives as it closes one gets a 502,
    or is repeated. By default true, and false with `replicas.command`, whose server is unknown."""
    ejection: bool = True
    """Whether a replica gets no requests for a time if its answers are errors (5xx, but for 501 and 503)
    while those of the others are not. At most half of the replicas are ejected
    (docs/explanation/gateway.md)."""
    connections_per_source: int = Field(default=1500, ge=1, le=2000)
    """Maximum number of open connections per client address; further ones are closed. The total is 2,000."""
    unlimited_sources: tuple[IPvAnyNetwork, ...] = (
        IPv4Network("127.0.0.0/8"),
        IPv6Network("::1/128"),
    )
    """Addresses and networks without that limit; by default this machine. Add those of reverse proxies."""

    @property
    def held_bytes(self) -> int:
        """The maximum size of a body that the gateway holds as a whole, in bytes."""
        return min(self.repeat_bytes, self.request_bytes)

    @model_validator(mode="after")
    def _one_body_fits(self) -> Gateway:
        if self.queue_bytes < self.held_bytes:
            raise ValueError(
                f"queue_bytes is {self.queue_bytes}, less than one body (at most {self.held_bytes} bytes of"
                " one are held, by repeat_bytes and request_bytes); increase it to a multiple of that"
            )
        return self
