"""The checks of `tidegate doctor --compose`, to be run before `docker compose up`.

Compose finds a taken port only when it starts the container that publishes it, after minutes, and no
container can inspect the ports of the host.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

from tidegate.checks.ports import RequiredPort, port_problems
from tidegate.observability_files.watermarks import read_watermarks
from tidegate.provision import preflight
from tidegate.provision.checkout_permissions import unreadable_problem
from tidegate.provision.errors import ProvisionError, reason
from tidegate.runtime.check_results import Result, failed, ok, problem_or_ok

# 2.33 has a bug in contexts of the form `service:` (docker/compose#12579), see examples/own-app/compose.yml.
MIN_COMPOSE: Final = (2, 34)
# docker/compose, pkg/compose/api_versions.go: buildxMinVersion.
MIN_BUILDX: Final = (0, 17)
SECONDS: Final = 30.0
DEFAULT_SOCKET: Final = "/var/run/docker.sock"
_VERSION: Final = re.compile(r"(\d+)\.(\d+)")
_PUBLISHED: Final = re.compile(r":(\d+)->")


def compose_checks(project: Path) -> list[Result]:
    """Every check of a folder of docker-compose.yml; without a Docker engine, those that do not need it."""
    found = [problem_or_ok("files", unreadable_problem(project), str(project))]
    try:
        found.append(
            engine_check(json.loads(_docker(project, "version", "--format", "{{json .}}")))
        )
        found.append(compose_check(_docker(project, "compose", "version", "--short")))
        # Compose 5.1.0 refuses an engine before 25; each version says itself what it refuses.
        _docker(project, "compose", "ls", "--quiet")
        config = json.loads(_docker(project, "compose", "config", "--format", "json"))
        info = json.loads(_docker(project, "info", "--format", "{{json .}}"))
        running = f"label=com.docker.compose.project={config['name']}"
        ours = _docker(project, "ps", "--filter", running, "--format", "{{.Ports}}")
    except ProvisionError as error:
        return [*found, failed("docker", str(error))]
    return [
        *found,
        buildx_check(info),
        ports_check(config, {int(port) for port in _PUBLISHED.findall(ours)}),
        socket_check(config, info),
        preflight.memory_check(int(info.get("MemTotal") or 0)),
        *disk_checks(info),
    ]


def engine_check(version: dict[str, Any]) -> Result:
    """Whether a Docker engine answers, from what `docker version` prints."""
    server = version.get("Server") or {}
    parts = {str(part.get("Name", "")) for part in server.get("Components") or ()}
    if any("podman" in part.lower() for part in parts):
        return failed("docker", "Podman answers, which is not supported: use Docker")
    text = f"{server.get('Version', 'an unknown version')} ({server.get('Arch', '')})"
    return ok("docker", text)


def compose_check(text: str) -> Result:
    """Whether Compose is new enough, from the version that it prints."""
    version = _VERSION.search(text)
    if version and (int(version[1]), int(version[2])) < MIN_COMPOSE:
        required = ".".join(map(str, MIN_COMPOSE))
        return failed("compose", f"{text.strip()} is too old: install {required} or later")
    return ok("compose", text.strip())


def buildx_check(info: dict[str, Any]) -> Result:
    """Whether Compose can build images, from what `docker info` prints about the client's plugins."""
    plugins = (info.get("ClientInfo") or {}).get("Plugins") or ()
    text = next((str(one.get("Version")) for one in plugins if one.get("Name") == "buildx"), "")
    if not text:
        return ok("buildx", "not installed: only the build of an own application needs it")
    version = _VERSION.search(text)
    if version and (int(version[1]), int(version[2])) < MIN_BUILDX:
        required = ".".join(map(str, MIN_BUILDX))
        problem = f"{text} is too old for Compose: install {required} or later"
        return failed("buildx", f"{problem}, or set DOCKER_BUILDKIT=0")
    return ok("buildx", text)


def ports_check(config: dict[str, Any], ours: set[int]) -> Result:
    """Whether each port that the stack publishes is free; `ours` are the ports of the running stack."""
    ports = [
        RequiredPort(f"{name.upper()}_PORT", port["host_ip"], int(port["published"]))
        for name, service in config["services"].items()
        for port in service.get("ports", ())
    ]
    if problems := port_problems([one for one in ports if one.port not in ours]):
        return failed("ports", "\n".join(problems))
    state = "used by the stack that runs here" if ours else f"all {len(ports)} are free"
    return ok("ports", state)


def socket_check(config: dict[str, Any], info: dict[str, Any]) -> Result:
    """Whether the resizer can reach the engine's socket, which a rootless engine has at another path."""
    mounts = config["services"]["resizer"]["volumes"]
    (socket,) = (one["source"] for one in mounts if one["target"] == DEFAULT_SOCKET)
    rootless = any("name=rootless" in option for option in info.get("SecurityOptions") or ())
    if rootless and socket == DEFAULT_SOCKET:
        text = "the engine is rootless: set DOCKER_SOCKET=$XDG_RUNTIME_DIR/docker.sock, in .env too"
        return failed("socket", text)
    return ok("socket", socket)


def disk_checks(info: dict[str, Any]) -> list[Result]:
    """Whether the engine's disk has the free space that Elasticsearch requires.

    Docker Desktop's disk is in its virtual machine, where the one-shot `secrets` checks it at the start.
    """
    root = Path(str(info.get("DockerRootDir") or ""))
    if "Docker Desktop" in str(info.get("OperatingSystem")) or not root.is_dir():
        return []
    try:
        marks = read_watermarks()
        ((_, free),) = preflight.free_by_disk([root]).items()
    except (OSError, ValueError, ProvisionError) as error:
        return [failed("disk", str(error))]
    return [preflight.disk_check(root, free, marks)]


def _docker(project: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["docker", *arguments],
            cwd=project,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except OSError as error:
        raise ProvisionError(
            f"docker cannot be run ({reason(error)}): install Docker Engine or Docker Desktop"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ProvisionError(
            f"`docker {arguments[0]}` does not answer within {SECONDS:g} s"
        ) from error
    if done.returncode != 0:
        last = (done.stderr.strip() or "it gives no reason").splitlines()[-1]
        raise ProvisionError(f"`docker {' '.join(arguments[:2])}` fails: {last}")
    return done.stdout
