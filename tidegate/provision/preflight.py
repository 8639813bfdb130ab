"""Checks of the machine before the Compose stack starts. The text of a result says what to do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tidegate.observability_files.watermarks import GIB, Watermarks
from tidegate.provision.errors import ProvisionError, reason
from tidegate.runtime.check_results import Result, failed, ok, warn

MIN_MAP_COUNT: Final = 262_144
RECOMMENDED_MAP_COUNT: Final = 1_048_576
MAP_COUNT_FILE: Final = Path("/proc/sys/vm/max_map_count")
# The memory limits of docker-compose.yml with one replica sum up to 6 GiB. A machine of 7 GiB reports more
# than 6: its firmware and kernel reserve the rest.
REQUIRED_MEMORY: Final = 7 * GIB
MIN_MEMORY: Final = 6 * GIB


def map_count_check(count: int) -> Result:
    """Whether `vm.max_map_count` is large enough.

    It is not an error, because a single node starts below the limit: Elasticsearch's bootstrap checks stop
    a node only if it could join others (`discovery.type: single-node` cannot), and warn otherwise. It runs
    until the files of its indices need more maps.
    """
    if count >= MIN_MAP_COUNT:
        return ok("memory maps", str(count))
    return warn(
        "memory maps",
        f"vm.max_map_count is {count} on this host, but Elasticsearch requires at least {MIN_MAP_COUNT}:"
        " a single node starts, but may fail when its indices grow; set it with"
        f" `sudo sysctl -w vm.max_map_count={RECOMMENDED_MAP_COUNT}`, and permanently in /etc/sysctl.conf",
    )


def memory_check(total: int) -> Result:
    """Whether the machine has the sum of the stack's memory limits, in bytes.

    Less is not an error, because containers seldom reach their limits at the same time.
    """
    if total >= MIN_MEMORY:
        return ok("memory", f"{total / GIB:.1f} GiB")
    return warn(
        "memory",
        f"this machine, or Docker's virtual machine, has {total / GIB:.1f} GiB of memory, but the stack needs"
        f" {REQUIRED_MEMORY // GIB}: containers may be killed; add memory (Docker Desktop: Settings,"
        " Resources)",
    )


def disk_check(path: Path, free: int, marks: Watermarks) -> Result:
    """Whether the disk of a folder has the free space, in bytes, that Elasticsearch requires."""
    text = f"the disk of {path} has {free / GIB:.1f} GiB free"
    no_index = f"below {marks.high // GIB} GiB Elasticsearch creates no index"
    if free < marks.high:
        flood = f"below {marks.flood_stage // GIB} GiB it writes nothing"
        return failed("disk", f"{text}: {no_index}, {flood}; free some space")
    if free < marks.low:
        return warn("disk", f"{text}; {no_index}: free some space")
    return ok("disk", f"{free / GIB:.1f} GiB free")


def read_map_count(path: Path = MAP_COUNT_FILE) -> int:
    """`vm.max_map_count`; the recommended value on a system without this limit (not Linux)."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return RECOMMENDED_MAP_COUNT


def read_memory() -> int:
    """The memory of the machine in bytes, also inside a container."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def free_by_disk(paths: Iterable[Path]) -> dict[Path, int]:
    """The free bytes of each disk that contains these paths, by the first path on it.

    Raises:
        ProvisionError: a path cannot be examined.
    """
    found: dict[int, tuple[Path, int]] = {}
    for path in paths:
        existing = next(one for one in (path, *path.absolute().parents) if one.exists())
        try:
            free, device = shutil.disk_usage(existing).free, existing.stat().st_dev
        except OSError as error:
            raise ProvisionError(f"{path} cannot be examined: {reason(error)}") from error
        found.setdefault(device, (path, free))
    return dict(found.values())
