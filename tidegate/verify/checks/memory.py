"""Memory: the peak of each container against its limit, or of each process where there are no limits."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tidegate.stack.supervisor.status import StackStatus
from tidegate.verify.checks.samples import samples
from tidegate.verify.results import Result, failed, ok
from tidegate.verify.target import Target

MIB: Final = 2**20
NEAR: Final = 0.95
"""From this share of its limit a peak is too high: a little more, and the kernel kills the container."""
BACK: Final = "1d"
USED: Final = "tidegate_container_memory_bytes"
LIMIT: Final = "tidegate_container_memory_limit_bytes"
_PEAK: Final = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


async def check(target: Target) -> list[Result]:
    """Compare peaks with limits."""
    if target.supervisor is None:
        return await _containers(target)
    return [_processes(await target.status())]


async def _containers(target: Target) -> list[Result]:
    """The largest peak of each service in the last day, and its containers' limit; the fullest first."""
    peaks = await _by_service(target, f"max by (service) (max_over_time({USED}[{BACK}]))")
    limits = await _by_service(target, f"max by (service) (last_over_time({LIMIT}[{BACK}]))")
    if not peaks:
        return [failed("containers", f"Prometheus has no {USED}: does it read the resizer?")]
    shares = {service: peaks[service] / limits[service] for service in peaks if service in limits}
    return [
        *(
            (failed if share >= NEAR else ok)(
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
    found = await samples(target.peer(target.prometheus), expression)
    return {one["metric"]["service"]: float(one["value"][1]) for one in found}


def _processes(status: StackStatus) -> Result:
    programs = [*status.components, *status.replicas]
    peaks = {one.id: peak_bytes(one.pid) / MIB for one in programs if one.pid}
    each = ", ".join(
        f"{name} {peak:.0f}" for name, peak in sorted(peaks.items(), key=lambda one: -one[1])
    )
    return ok("processes", f"peak {sum(peaks.values()):.0f} MiB: {each}")


def peak_bytes(pid: int, proc: Path = Path("/proc")) -> int:
    """The most memory that a process has had resident; 0 if that cannot be read."""
    try:
        found = _PEAK.search((proc / str(pid) / "status").read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError):
        return 0
    return int(found[1]) * 1024 if found else 0
