"""The checks for a stack on this machine."""

from __future__ import annotations

import asyncio
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path
from typing import Final

import psutil

from tidegate.doctor.replica import replica_checks
from tidegate.runtime.check_results import Result, failed, ok, warn
from tidegate.settings import Settings, config_file
from tidegate.stack import prometheus
from tidegate.stack.checks.ports import port_problems, required_ports
from tidegate.stack.checks.preflight import program_problem, store_problem
from tidegate.stack.data_folder import Layout
from tidegate.stack.disk import MIB, folder_problem, free_bytes
from tidegate.stack.gateway import haproxy
from tidegate.store.embedded import folder
from tidegate.store.embedded.repair import problem as store_damage
from tidegate.store.kinds import store_folder, store_server

# The memory of a stack of six replicas, measured: about 100 MiB per Python program.
MEMORY_BYTES: Final = 1024 * MIB
DISK_BYTES: Final = 2048 * MIB
PYTHON: Final = (3, 11)
# The extras that `tidegate up` requires.
REQUIRED_EXTRAS: Final = frozenset({"", "service", "store", "stack"})
# Those that only some people need, and what for.
PURPOSES: Final = {
    "train": "training, and converting a model of scikit-learn, LightGBM or XGBoost",
    "kubernetes": "the scalers in a cluster",
    "parquet": "`tidegate reference` with a Parquet file",
}
# The union of others, and what only the development of Tidegate needs.
UNCHECKED_EXTRAS: Final = frozenset({"all", "build", "dev"})
_VERSION = re.compile(r"\d+\.\d+\S*")
_REQUIREMENT = re.compile(r"""^([A-Za-z0-9._-]+)[^;]*(?:;.*extra == ['"]([\w-]+)['"])?""")
_PLATFORM = re.compile(r"""sys_platform (==|!=) ['"](\w+)['"]""")


async def checks(settings: Settings) -> list[Result]:
    """Every check. The paths of the settings are absolute."""
    return [
        # First, because on a full disk the other checks fail with misleading reasons.
        _data_folder(settings.stack.data_dir),
        _python(),
        *package_checks(requires("tidegate") or [], _installed),
        await program_check("haproxy", haproxy.haproxy_binary, "-v"),
        await program_check("prometheus", prometheus.prometheus_binary, "--version"),
        await program_check("promtool", prometheus.promtool_binary, "--version", needed=False),
        _settings_file(),
        _program(settings),
        _ports(settings),
        *_embedded_store(settings),
        memory_check(psutil.virtual_memory().available),
        *(await _store_server(settings)),
        *(await replica_checks(settings, Path.cwd())),
    ]


def _check(name: str, problem: str, ok_text: str) -> Result:
    return failed(name, problem) if problem else ok(name, ok_text)


def _program(settings: Settings) -> Result:
    """What replicas run: the application or command of the settings, or the model of the service."""
    program = settings.replica_program
    name = "replicas" if program else "model"
    return _check(name, program_problem(settings), program or str(settings.model.path))


def _python() -> Result:
    version = ".".join(str(part) for part in sys.version_info[:3])
    problem = f"{version} is too old: 3.11 or later" if sys.version_info[:2] < PYTHON else ""
    return _check("python", problem, version)


def package_checks(
    requirements: Iterable[str], installed: Callable[[str], bool]
) -> Iterator[Result]:
    """A check for each extra of these requirements (as a distribution's metadata has them)."""
    missing: dict[str, list[str]] = defaultdict(list)
    for requirement in requirements:
        if _is_for_this_platform(requirement) and (found := _REQUIREMENT.match(requirement)):
            missing[found[2] or ""] += [] if installed(found[1]) else [found[1]]
    for extra, names in sorted(missing.items()):
        if extra in UNCHECKED_EXTRAS:
            continue
        name = f"packages {extra}".strip()
        if names:
            command = f"pip install 'tidegate[{extra or 'all'}]'"
            if extra in PURPOSES:
                yield ok(name, f"not installed, only for {PURPOSES[extra]}: {command}")
                continue
            text = f"not installed: {', '.join(names)}; {command}"
            yield Result(name, "failed" if extra in REQUIRED_EXTRAS else "warn", text)
        else:
            yield ok(name, "installed")


def _is_for_this_platform(requirement: str) -> bool:
    """XGBoost has another package for each platform."""
    found = _PLATFORM.search(requirement)
    return found is None or (found[1] == "==") == (sys.platform == found[2])


def _installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


async def program_check(
    name: str, find: Callable[[], Path], version_flag: str, *, needed: bool = True
) -> Result:
    """Whether a program of the stack is installed and reports its version."""
    try:
        path = find()
        process = await asyncio.create_subprocess_exec(
            str(path),
            version_flag,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
    except (OSError, RuntimeError) as error:
        return Result(name, "failed" if needed else "warn", str(error))
    version = _VERSION.search(output.decode(errors="replace"))
    return ok(name, f"{version[0] if version else 'of an unknown version'} ({path})")


def _settings_file() -> Result:
    return ok("settings", str(config_file() or "no tidegate.toml here: all defaults"))


def _ports(settings: Settings) -> Result:
    pid = Layout(settings.stack.data_dir).holder()
    if pid:
        return ok("ports", f"used by the stack that runs here (pid {pid})")
    ports = required_ports(settings)
    return _check("ports", "\n".join(port_problems(ports)), f"all {len(ports)} are free")


def _data_folder(folder: Path) -> Result:
    if problem := folder_problem(folder):
        return failed("data folder", problem)
    return disk_check(folder, free_bytes(folder))


def disk_check(folder: Path, free: int) -> Result:
    """Whether the disk has enough free bytes."""
    text = f"{folder}, {free / 2**30:.1f} GiB free"
    if free < DISK_BYTES:
        return warn("data folder", f"{text}: events and samples may take 2 GiB")
    return ok("data folder", text)


def memory_check(free: int) -> Result:
    """Whether enough memory is available, in bytes."""
    text = f"{free / 2**30:.1f} GiB available"
    if free < MEMORY_BYTES:
        return warn("memory", f"{text}: a stack of six replicas takes 1 GiB")
    return ok("memory", text)


def _embedded_store(settings: Settings) -> list[Result]:
    root = store_folder(settings)
    if root is None or not root.is_dir():
        return []
    if problem := store_damage(root, content=True):
        return [failed("store", problem)]
    if aside := folder.aside(root):
        text = f"damaged parts were set aside in {', '.join(map(str, aside))}: remove them"
        return [warn("store", text)]
    return [ok("store", f"all files in {root} are undamaged")]


async def _store_server(settings: Settings) -> list[Result]:
    if (server := store_server(settings)) is None:
        return []
    name = settings.store.kind
    return [_check(name, await store_problem(settings), f"{server.url} answers")]
