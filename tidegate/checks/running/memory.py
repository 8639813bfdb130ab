"""Memory: the peak of each container relative to its limit, or of each process in local mode."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tidegate.checks.running.target import Target
from tidegate.runtime.check_results import Result, failed, ok
from tidegate.runtime.prometheus import Prometheus
from tidegate.stack.supervisor.status import StackStatus

MIB: Final = 2**20
MAX_LIMIT_FRACTION: Final = 0.95
"""A peak of this fraction of the limit fails the check: at the limit, the kernel kills the container."""
WINDOW: Final = "1d"
USED: Final = "tidegate_container_memory_bytes"
LIMIT: Final = "tidegate_container_memory_limit_bytes"
_PEAK: Final = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


async def check(target: Target) -> list[Result]:
    """Compare the peaks with the limits."""
    if target.supervisor is None:
        return await _containers(target)
    return [_processes(await target.status())]


async def _containers(target: Target) -> list[Result]:
    """The largest peak of each service in the last day relative to its limit, in descending order."""
    peaks = await _by_service(target, f"max by (service) (max_over_time({USED}[{WINDOW}]))")
    limits = await _by_service(target, f"max by (service) (last_over_time({LIMIT}[{WINDOW}]))")
    if not peaks:
        return [failed("containers", f"Prometheus has no {USED}: does it scrape the resizer?")]
    shares = {service: peaks[service] / limits[service] for service in peaks if service in limits}
    return [
        *(
            (failed if share >= MAX_LIMIT_FRACTION else ok)(
                service,
                f"peak {peaks[service] / MIB:.0f} of {limits[service] / MIB:.0f} MiB, {share:.0%}",
            )
            for service, share in sorted(shares.items(), key=lambda each: -each[1])
        ),
        *(
            ok(service, f"peak {peak / MIB:.0f} MiB, no limit")
            for service, peak in sorted(peaks.items())
            if service not in limits
        ),
    ]


async def _by_service(target: Target, expression: str) -> dict[str, float]:
    found = await Prometheus(target.session, target.prometheus).query(expression)
    return {one.labels["service"]: value for one in found for _, value in one.samples}


def _processes(status: StackStatus) -> Result:
    programs = [*status.components, *status.replicas]
    peaks = {one.id: peak_bytes(one.pid) / MIB for one in programs if one.pid}
    each = ", ".join(
        f"{name} {peak:.0f}" for name, peak in sorted(peaks.items(), key=lambda one: -one[1])
    )
    return ok("processes", f"peak {sum(peaks.values()):.0f} MiB: {each}")


def peak_bytes(pid: int, proc: Path = Path("/proc")) -> int:
    """The peak resident memory of a process; 0 if it cannot be read."""
    try:
        found = _PEAK.search((proc / str(pid) / "status").read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError):
        return 0
    return int(found[1]) * 1024 if found else 0
