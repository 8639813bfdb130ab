"""The programs of local mode, as their supervisor sees them."""

from __future__ import annotations

from tidegate.verify.results import Result, failed, ok, skipped
from tidegate.verify.target import Target


async def check(target: Target) -> list[Result]:
    """Compare the programs that should run with those that do."""
    if target.supervisor is None:
        return [
            skipped("programs", "the stack has no supervisor: Docker keeps its containers running")
        ]
    status = await target.status()
    programs = [*status.components, *status.replicas]
    problems = [
        f"{one.id} is {one.state}: {one.problem}" for one in programs if one.state == "failed"
    ]
    restarts = sum(one.restarts for one in programs)
    ready = sum(one.state == "ready" for one in programs)
    text = f"{ready} of {len(programs)} are ready, {restarts} restarts"
    whole = status.state == "ready" and not problems
    return [
        ok("programs", text) if whole else failed("programs", f"{text}: {status.state}", problems)
    ]
