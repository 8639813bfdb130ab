"""The programs: in local mode what their supervisor says, in Docker Compose the console and the memory."""

from __future__ import annotations

from typing import Final

from tidegate.checks.running.target import Target
from tidegate.runtime.check_results import Result, failed, ok, skipped
from tidegate.runtime.prometheus import Prometheus

MIB: Final = 2**20
MAX_LIMIT_FRACTION: Final = 0.95
"""A peak of this fraction of the limit fails the check: at the limit, the kernel kills the container."""
WINDOW: Final = "1d"
USED: Final = "tidegate_container_memory_bytes"
LIMIT: Final = "tidegate_container_memory_limit_bytes"


async def programs(target: Target) -> list[Result]:
    """Check that every program is ready."""
    if target.supervisor is None:
        return [skipped("programs", "the stack has no supervisor: Docker restarts its containers")]
    status = await target.status()
    programs = [*status.components, *status.replicas]
    problems = [
        f"{one.id} is {one.state}: {one.problem}" for one in programs if one.state == "failed"
    ]
    restarts = sum(one.restarts for one in programs)
    ready = sum(one.state == "ready" for one in programs)
    text = f"{ready} of {len(programs)} are ready, {restarts} restarts"
    healthy = status.state == "ready" and not problems
    return [
        ok("programs", text) if healthy else failed("programs", f"{text}: {status.state}", problems)
    ]


async def console(target: Target) -> list[Result]:
    """Check that it answers; its pages need a token."""
    url = target.settings.verify.console_url
    if not url:
        return [skipped("all checks", "verify.console_url is not set: see the programs")]
    await target.client(url).call("GET", "/live")
    return [ok("live", f"{url}/live responded with status 200")]


async def memory(target: Target) -> list[Result]:
    """Compare the peaks with the limits."""
    if target.supervisor:
        return [skipped("containers", "the programs of local mode have no limit")]
    return await _containers(target)


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
