"""The checks of `tidegate doctor` for a stack on this machine."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path
from typing import Final

import psutil

from tidegate.checks.replica import replica_checks
from tidegate.checks.start import installed_check, start_checks
from tidegate.runtime.check_results import Result, failed, ok, problem_or_ok, warn
from tidegate.settings import Settings, config_file
from tidegate.stack import prometheus
from tidegate.stack.disk import MIB
from tidegate.store.embedded import folder
from tidegate.store.embedded.repair import problem as store_damage
from tidegate.store.kinds import store_folder

# The memory of a stack of six replicas, measured: about 100 MiB per Python program.
MEMORY_BYTES: Final = 1024 * MIB
PYTHON: Final = (3, 11)
# The extras that `tidegate up` requires.
REQUIRED_EXTRAS: Final = frozenset({"", "service", "store", "stack"})
# Those that only some people need, and what for.
PURPOSES: Final = {
    "train": "training, and converting a model file other than ONNX",
    "kubernetes": "the scalers in a cluster",
    "parquet": "`tidegate reference` with a Parquet file",
}
# The union of others, and what only the development of Tidegate needs.
UNCHECKED_EXTRAS: Final = frozenset({"all", "build", "dev"})
_REQUIREMENT = re.compile(r"""^([A-Za-z0-9._-]+)[^;]*(?:;.*extra == ['"]([\w-]+)['"])?""")
_PLATFORM = re.compile(r"""sys_platform (==|!=) ['"](\w+)['"]""")


async def machine_checks(settings: Settings) -> list[Result]:
    """Every check: what a start needs, and the rest. The paths of the settings are absolute."""
    return [
        *(await start_checks(settings)),
        _python(),
        *package_checks(requires("tidegate") or [], _installed),
        await installed_check("promtool", prometheus.promtool_binary, "--version", needed=False),
        ok("settings", str(config_file() or "no tidegate.toml here: all defaults")),
        *embedded_store_checks(settings),
        memory_check(psutil.virtual_memory().available),
        *(await replica_checks(settings, Path.cwd())),
    ]


def _python() -> Result:
    version = ".".join(str(part) for part in sys.version_info[:3])
    problem = f"{version} is too old: 3.11 or later" if sys.version_info[:2] < PYTHON else ""
    return problem_or_ok("python", problem, version)


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


def memory_check(free: int) -> Result:
    """Whether enough memory is available, in bytes."""
    text = f"{free / 2**30:.1f} GiB available"
    if free < MEMORY_BYTES:
        return warn("memory", f"{text}: a stack of six replicas takes 1 GiB")
    return ok("memory", text)


def embedded_store_checks(settings: Settings) -> list[Result]:
    """Whether the files of the embedded store, if there is one, are undamaged."""
    root = store_folder(settings)
    if root is None or not root.is_dir():
        return []
    if problem := store_damage(root, content=True):
        return [failed("store", problem)]
    if aside := folder.aside(root):
        text = f"damaged parts were set aside in {', '.join(map(str, aside))}: remove them"
        return [warn("store", text)]
    return [ok("store", f"all files in {root} are undamaged")]
