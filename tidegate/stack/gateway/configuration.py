"""HAProxy's configuration: renders observability/haproxy/haproxy.cfg.j2 with the settings in force."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import jinja2
import orjson

from tidegate.observability_files.paths import observability_folder
from tidegate.rules.prometheus_config import REQUESTS_PATH
from tidegate.runtime.atomic_files import write_atomically
from tidegate.settings import Settings
from tidegate.stack.gateway.access_log import (
    INVALID_TRACEPARENT,
    REQUESTS_SOCKET,
    TRACEPARENT,
    constant_fields,
)
from tidegate.stack.gateway.haproxy import GatewayError

# The socket of HAProxy's runtime API (tidegate/stack/gateway/runtime_api.py), beside its configuration.
ADMIN_SOCKET: Final = "admin.sock"
# Of waiting.lua, beside it. Nobody else may connect: the plug takes few connections.
WAITING_SOCKET: Final = "waiting.sock"
PLUG_SOCKET: Final = "plug.sock"
# The connections of the plug, the internal request that lets others wait while no replica is up
# (observability/haproxy/waiting.lua): of its client, its server and its task.
PLUG_CONNECTIONS: Final = 4
# Further client connections wait in the kernel's backlog.
CONNECTIONS: Final = 2000
# The queue must reach its limit before the connections do, so that what is beyond it gets a 503.
MAX_QUEUE_LENGTH: Final = 1500
# For Prometheus, the autoscaler, the health checks of the supervisor and of Compose, and manual requests.
METRICS_CONNECTIONS: Final = 32
# Bodies up to this size are not counted in `gateway.queue_bytes`: 2,000 of them take 32 MB.
SMALL_BYTES: Final = 16_384
# The maximum size of the URL and the headers of a request.
HEADER_BYTES: Final = 16_384
# RFC 9110, section 9.3, without CONNECT, and RFC 5789.
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
# HAProxy reserves this for headers that rules add.
REWRITE_BYTES: Final = 8192
# Minimum memory that HAProxy retains for buffers of later requests, in bytes and in buffers.
HOT_BYTES: Final = 64 * 2**20
HOT_BUFFERS: Final = 8
RETRY_AFTER_SECONDS: Final = 2
# If no further replica comes, a request whose answer is expected after this many objectives is refused.
# Under constant overload the queue stays at that length, so it is the median latency of what is accepted.
LATE_OBJECTIVES: Final = 0.8
# How many arrive is averaged over this many objectives, but 3 to 30 s. A slow service answers few: over 3 s,
# chance alone would be an overload at 85 % of its capacity.
ARRIVALS_OBJECTIVES: Final = 5
# HAProxy's timers and its `date` may differ by this much.
CLOCK_MS: Final = 50
# The longest timeout that HAProxy can represent in milliseconds.
PLUG_TIMEOUT: Final = "24d"
# Health endpoints, and their responses where requests are accepted without a replica.
PROBES: Final = {
    "/live": '{"status":"live"}',
    "/ready": '{"status":"ready"}',
    "/v2/health/live": '{"live":true}',
    "/v2/health/ready": '{"ready":true}',
}
# The link that a browser follows.
CONSOLE: Final = "console"


def render_config(
    settings: Settings,
    *,
    servers: Sequence[str] = (),
    dns_name: str = "",
    dns_servers: Sequence[str] = ("127.0.0.11:53",),
    max_replicas: int = 32,
    slots: int | None = None,
    links_file: Path | None = None,
    console_port: int | None = None,
    sockets: str = "",
) -> str:
    """The configuration's text, for local mode (`servers`) or for Compose and Kubernetes (`dns_name`).

    Args:
        settings: those in force.
        servers: host:port of every replica that may ever run; none gets requests until `RuntimeApi.enable`.
        dns_name: name:port that a DNS server resolves to every replica. `stack.host` then only selects the
            address family: `::` is all addresses of IPv6, everything else all of IPv4.
        dns_servers: host:port of the DNS servers. Empty: the program that runs HAProxy sets the addresses
            (tidegate/stack/gateway/replica_servers.py).
        max_replicas: the maximum number of addresses, with `dns_name`.
        slots: the maximum of concurrent requests to each replica; None means `slots.per_replica`.
        links_file: what the gateway answers at `/`, as JSON; None means that `/` is a replica's.
        console_port: where `/` leads a browser, on the same machine; None if there is no console.
        sockets: what is put in front of the names of its sockets. A gateway that takes over another's ports
            takes over its sockets of the same names, too.

    Raises:
        GatewayError: a setting contains a control character.
        FileNotFoundError: the template is not there.
    """
    ipv6 = bool(dns_name) and ":" in settings.stack.host
    everywhere = "[::]" if ipv6 else "0.0.0.0"  # noqa: S104  in a container, the published ports limit access
    host, metrics_host = (
        (everywhere, everywhere) if dns_name else (settings.stack.host, "127.0.0.1")
    )
    response_ms = _milliseconds(settings.gateway.response_seconds)
    folder = observability_folder() / "haproxy"
    environment = jinja2.Environment(  # noqa: S701  this is not HTML; `quoted` quotes
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["quoted"] = quoted
    return environment.get_template("haproxy.cfg.j2").render(
        connections=CONNECTIONS,
        metrics_connections=METRICS_CONNECTIONS,
        plug_connections=PLUG_CONNECTIONS,
        connections_per_source=settings.gateway.connections_per_source,
        unlimited_sources=settings.gateway.unlimited_sources,
        queue_bytes=settings.gateway.queue_bytes,
        small_bytes=SMALL_BYTES,
        body_classes=body_classes(settings.gateway.held_bytes),
        held_bytes=settings.gateway.held_bytes,
        request_bytes=settings.gateway.request_bytes,
        header_bytes=HEADER_BYTES,
        methods=METHODS,
        buffer_bytes=buffer_bytes(settings),
        hot_bytes=max(HOT_BYTES, HOT_BUFFERS * buffer_bytes(settings)),
        rewrite_bytes=REWRITE_BYTES,
        retry_after_seconds=RETRY_AFTER_SECONDS,
        queue_ms=_milliseconds(settings.gateway.queue_seconds),
        queue_seconds=settings.gateway.queue_seconds,
        late_seconds=LATE_OBJECTIVES * settings.slo.latency_seconds,
        arrivals_seconds=round(min(30, max(3, ARRIVALS_OBJECTIVES * settings.slo.latency_seconds))),
        all_replicas=settings.replicas.max,
        start_seconds=settings.replicas.start_seconds,
        response_ms=response_ms,
        late_us=max(0, response_ms - CLOCK_MS) * 1000,
        bind=f"{host}:{settings.gateway.port}",
        requests_path=REQUESTS_PATH,
        requests_socket=REQUESTS_SOCKET if settings.replicas.command else "",
        metrics_bind=f"{metrics_host}:{settings.gateway.metrics_port}",
        slots=settings.slots.per_replica if slots is None else slots,
        admin_socket=f"{sockets}{ADMIN_SOCKET}",
        quiet_paths=settings.telemetry.quiet_paths,
        traceparent=TRACEPARENT,
        invalid_traceparent=INVALID_TRACEPARENT,
        lua_file=folder / "refuse.lua",
        waiting_file=folder / "waiting.lua",
        queue_file=folder / "queue.lua",
        broke_off_file=folder / "broke_off.lua",
        ejection=settings.gateway.ejection,
        outliers_file=folder / "outliers.lua",
        ejection_file=folder / "ejection.lua",
        stack_fields=constant_fields(settings, "stack").decode(),
        waiting_address=f"unix@{sockets}{WAITING_SOCKET}",
        plug_address=f"unix@{sockets}{PLUG_SOCKET}",
        plug_timeout=PLUG_TIMEOUT,
        keep_alive=keep_alive(settings),
        idempotent_paths=settings.gateway.idempotent_paths,
        ready_path=settings.replicas.ready_path,
        probes={**PROBES, settings.replicas.ready_path: PROBES["/ready"]},
        scales_to_zero=settings.replicas.min == 0,
        queue_length=min(settings.gateway.queue_length, MAX_QUEUE_LENGTH),
        servers=servers,
        dns_name=dns_name,
        dns_servers=dns_servers if dns_name else [],
        unset_address=f"{'[::1]' if ipv6 else '127.0.0.1'}:{dns_name.rpartition(':')[2]}",
        ipv6=ipv6,
        max_replicas=max_replicas,
        links_file=links_file,
        console_port=console_port,
    )


def keep_alive(settings: Settings) -> bool:
    """Whether the gateway sends several requests over one connection to a replica."""
    chosen = settings.gateway.keep_alive
    return not settings.replicas.command if chosen is None else chosen


def body_classes(held_bytes: int) -> list[int]:
    """The size classes of bodies larger than `SMALL_BYTES`: each doubles the last, up to `held_bytes`."""
    classes, size = [], SMALL_BYTES
    while size < held_bytes:
        size = min(2 * size, held_bytes)
        classes.append(size)
    return classes


def buffer_bytes(settings: Settings) -> int:
    """The size of one buffer of HAProxy: it holds a request that may be repeated, with its headers."""
    return settings.gateway.held_bytes + HEADER_BYTES + REWRITE_BYTES


def memory_bytes(settings: Settings) -> int:
    """The maximum memory of HAProxy's buffers, in bytes; docs/explanation/gateway.md has the arithmetic.

    A buffer keeps the memory of the largest request that it ever held, so each connection counts as a whole
    buffer, even if only small requests wait.
    """
    # A request in flight is kept for a retry, beside its response.
    slots = settings.slots.max or settings.slots.per_replica
    in_flight = slots * settings.replicas.max
    return (CONNECTIONS + in_flight) * buffer_bytes(settings)


def quoted(value: object) -> str:
    """The value as one quoted word of HAProxy's configuration language.

    Raises:
        GatewayError: it has a control character, which cannot be quoted.
    """
    text = str(value)
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise GatewayError(
            f"a control character is not allowed in HAProxy's configuration: {text!r}"
        )
    return '"' + re.sub(r'(["\\$])', r"\\\1", text) + '"'


def write_config(
    settings: Settings,
    folder: Path,
    replica_addresses: Sequence[str],
    slots: int | None = None,
    links: Mapping[str, str] | None = None,
) -> Path:
    """Write haproxy.cfg and its links file into the folder.

    Args:
        settings: those in force.
        folder: created if missing.
        replica_addresses: host:port of every replica that may ever run; they become model1, model2 …
        slots: as in `render_config`.
        links: what the gateway lists at `/`, where it leads a browser to the `CONSOLE`; None means that `/`
            is a replica's.

    Returns:
        The configuration's path.

    Raises:
        GatewayError: as `render_config`.
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "haproxy.cfg"
    links_file = None
    if links is not None:
        links_file = (folder / "links.json").absolute()
        listed = orjson.dumps({"service": settings.service.name, **links}).decode() + "\n"
        write_atomically(links_file, listed, durable=False)
    text = render_config(
        settings,
        servers=replica_addresses,
        slots=slots,
        links_file=links_file,
        console_port=settings.console.port if links and CONSOLE in links else None,
        sockets=f"../{folder.name}/",
    )
    # Atomically: a gateway may start at any time.
    write_atomically(config, text, durable=False)
    return config


def _milliseconds(seconds: float) -> int:
    # 0 would mean "no limit".
    return max(1, round(seconds * 1000))
