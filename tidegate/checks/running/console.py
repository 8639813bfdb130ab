"""The web console, where no supervisor reports on it."""

from __future__ import annotations

from tidegate.checks.running.target import Target
from tidegate.runtime.check_results import Result, ok, skipped


async def check(target: Target) -> list[Result]:
    """Check that it answers; its pages need a token."""
    url = target.settings.verify.console_url
    if not url:
        return [skipped("all checks", "verify.console_url is not set: see the programs")]
    await target.client(url).call("GET", "/live")
    return [ok("live", f"{url}/live responded with status 200")]
