"""What the machine must give before the stores start. Each problem is a sentence that says what to do."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tidegate.provision.problems import ProvisionError, reason

MAP_COUNT_LEAST: Final = 262_144
MAP_COUNT_RECOMMENDED: Final = 1_048_576
MAP_COUNT_FILE: Final = Path("/proc/sys/vm/max_map_count")
GIB: Final = 2**30
FREE_LEAST: Final = 2 * GIB
# cluster.routing.allocation.disk.watermark.flood_stage and its max_headroom, as Elasticsearch 9 has them.
FLOOD_SHARE: Final = 0.05
FLOOD_MOST: Final = 100 * GIB


def map_count_warning(count: int) -> str:
    """What to say of `vm.max_map_count`; empty if it is enough.

    A warning, as a single node may start below the limit: Elasticsearch's bootstrap checks stop a node
    only when it could join others (`discovery.type: single-node` cannot), and merely warn otherwise. It
    runs, until the files of its indices need more maps than that.
    """
    if count >= MAP_COUNT_LEAST:
        return ""
    return (
        f"vm.max_map_count is {count} on this host and Elasticsearch asks for {MAP_COUNT_LEAST} at least:"
        " a single node starts, and may fail when its indices grow; set it with"
        f" `sudo sysctl -w vm.max_map_count={MAP_COUNT_RECOMMENDED}`, for good in /etc/sysctl.conf"
    )


def disk_problem(path: Path, free: int, total: int) -> str:
    """Why there is too little room on a disk; empty if there is enough.

    Args:
        path: a folder on it, to name it by.
        free: bytes that can be written.
        total: bytes in all.
    """
    if free < FREE_LEAST:
        return (
            f"the disk of {path} has {free / GIB:.1f} GiB free, and the stack needs {FREE_LEAST / GIB:.0f}:"
            " make room"
        )
    if free < min(FLOOD_SHARE * total, FLOOD_MOST):
        return (
            f"the disk of {path} is {1 - free / total:.1%} full: beyond 95 % Elasticsearch makes its"
            " indices read-only, so make room"
        )
    return ""


def read_map_count(path: Path = MAP_COUNT_FILE) -> int:
    """`vm.max_map_count`; where there is no such limit (not Linux), as many as are wanted."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return MAP_COUNT_RECOMMENDED


def disk_problems(paths: Iterable[Path]) -> list[str]:
    """The problems of the disks that these lie on, each disk once.

    Raises:
        ProvisionError: one cannot be asked.
    """
    seen: dict[int, str] = {}
    for path in paths:
        there = next(one for one in (path, *path.absolute().parents) if one.exists())
        try:
            usage, device = shutil.disk_usage(there), there.stat().st_dev
        except OSError as error:
            raise ProvisionError(f"{path} cannot be looked at: {reason(error)}") from error
        seen.setdefault(device, disk_problem(path, usage.free, usage.total))
    return [problem for problem in seen.values() if problem]
