"""The programs of local mode, from the status of their supervisor."""

from __future__ import annotations

from tidegate.checks.running.target import Target
from tidegate.runtime.check_results import Result, failed, ok, skipped


async def check(target: Target) -> list[Result]:
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
