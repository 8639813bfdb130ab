"""The checks of `tidegate doctor` for a stack on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import psutil

from tidegate.checks.replica import replica_checks
from tidegate.checks.start import installed_check, start_checks
from tidegate.runtime.check_results import Result, failed, ok, warn
from tidegate.settings import Settings, config_file
from tidegate.stack import prometheus
from tidegate.stack.disk import MIB
from tidegate.store.embedded import folder
from tidegate.store.embedded.repair import problem as store_damage
from tidegate.store.kinds import store_folder

# The memory of a stack of six replicas, measured: about 100 MiB per Python program.
MEMORY_BYTES: Final = 1024 * MIB


async def machine_checks(settings: Settings) -> list[Result]:
    """Every check: what a start needs, and the rest. The paths of the settings are absolute."""
    return [
        *(await start_checks(settings)),
        await installed_check("promtool", prometheus.promtool_binary, "--version", needed=False),
        ok("settings", str(config_file() or "no tidegate.toml here: all defaults")),
        *embedded_store_checks(settings),
        memory_check(psutil.virtual_memory().available),
        *(await replica_checks(settings, Path.cwd())),
    ]


def memory_check(free: int) -> Result:
    """Whether enough memory is available, in bytes."""
    text = f"{free / 2**30:.1f} GiB available"
    if free < MEMORY_BYTES:
        return warn("memory", f"{text}: a stack of six replicas takes 1 GiB")
    return ok("memory", text)


def embedded_store_checks(settings: Settings) -> list[Result]:
    """Whether the files of the embedded store, if there is one, are undamaged."""
    root = store_folder(settings)
    if root is None or not root.is_dir() or folder.unusable(root):
        return []  # of the last, what a start needs has a line
    if problem := store_damage(root, content=True):
        return [failed("store", problem)]
    if aside := folder.aside(root):
        text = f"damaged parts were set aside in {', '.join(map(str, aside))}: remove them"
        return [warn("store", text)]
    return [ok("store", f"all files in {root} are undamaged")]
