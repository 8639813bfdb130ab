"""What the machine must give before the stores start. Each problem is a sentence that says what to do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tidegate.observability_files.watermarks import GIB, Watermarks
from tidegate.provision.problems import ProvisionError, reason

MAP_COUNT_LEAST: Final = 262_144
MAP_COUNT_RECOMMENDED: Final = 1_048_576
MAP_COUNT_FILE: Final = Path("/proc/sys/vm/max_map_count")
# The memory limits of docker-compose.yml with one replica come to 5.5 GiB. A machine of 6 GiB reports about
# that much: its firmware and kernel keep the rest.
MEMORY_NEEDED: Final = 6 * GIB
MEMORY_LEAST: Final = int(5.5 * GIB)


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


def memory_warning(total: int) -> str:
    """What to say of a machine with this many bytes of memory; empty if it has enough.

    A warning, as containers seldom reach their limits all at once.
    """
    if total >= MEMORY_LEAST:
        return ""
    return (
        f"this machine, or Docker's virtual machine, has {total / GIB:.1f} GiB of memory, and the stack needs"
        f" {MEMORY_NEEDED // GIB}: containers may be killed; add memory (Docker Desktop: Settings, Resources)"
    )


def disk_problem(path: Path, free: int, marks: Watermarks) -> str:
    """Why a disk has too little free space for a start; empty if it has enough.

    Args:
        path: a folder on it, to name it by.
        free: bytes that can be written.
        marks: Elasticsearch's.
    """
    if free >= marks.high:
        return ""
    return (
        f"the disk of {path} has {free / GIB:.1f} GiB free: below {marks.high // GIB} GiB Elasticsearch"
        f" creates no index, below {marks.flood_stage // GIB} GiB it writes nothing; free some space"
    )


def disk_warning(path: Path, free: int, marks: Watermarks) -> str:
    """What to say of a disk that has enough free space for a start and not for long; else empty."""
    if not marks.high <= free < marks.low:
        return ""
    return (
        f"the disk of {path} has {free / GIB:.1f} GiB free, and below {marks.high // GIB} GiB Elasticsearch"
        " creates no index: free some space"
    )


def read_map_count(path: Path = MAP_COUNT_FILE) -> int:
    """`vm.max_map_count`; where there is no such limit (not Linux), as many as are wanted."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return MAP_COUNT_RECOMMENDED


def read_memory() -> int:
    """Bytes of memory of this machine. In a container, too, it is the machine's."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def free_by_disk(paths: Iterable[Path]) -> dict[Path, int]:
    """The free bytes of each disk that these lie on, by the first path on it.

    Raises:
        ProvisionError: one cannot be examined.
    """
    found: dict[int, tuple[Path, int]] = {}
    for path in paths:
        there = next(one for one in (path, *path.absolute().parents) if one.exists())
        try:
            free, device = shutil.disk_usage(there).free, there.stat().st_dev
        except OSError as error:
            raise ProvisionError(f"{path} cannot be examined: {reason(error)}") from error
        found.setdefault(device, (path, free))
    return dict(found.values())
