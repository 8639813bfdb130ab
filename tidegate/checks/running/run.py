"""Runs all checks, and repeats failed ones until they pass or the time is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

from tidegate.checks.running import (
    collector,
    events,
    gateway,
    grafana,
    kibana,
    logstash,
    programs,
    prometheus,
)
from tidegate.checks.running.target import Check, Target
from tidegate.runtime.check_results import Result, failed, has_failed
from tidegate.runtime.http_client import HttpError
from tidegate.runtime.secret_files import SecretFileError
from tidegate.store.base import StoreUnavailableError

# The gateway first: its check sends a request, whose events and samples the other checks look for.
CHECKS: Final[Mapping[str, Check]] = {
    "Programs": programs.programs,
    "Gateway and one request": gateway.check,
    "Collector": collector.check,
    "Logstash": logstash.check,
    "Events": events.check,
    "Prometheus": prometheus.check,
    "Kibana": kibana.check,
    "Grafana": grafana.check,
    "Console": programs.console,
    "Memory": programs.memory,
}
REPEAT_SECONDS: Final = 1.0


async def run_checks(
    target: Target,
    wait_seconds: float,
    started: Callable[[str], None] = lambda _: None,
    checks: Mapping[str, Check] = CHECKS,
) -> dict[str, list[Result]]:
    """Run each check once, then repeat failed ones until all pass or the time is over.

    After a start it takes some scrapes until rules have values and events are in the store. `started` gets
    the name of each component before its check.

    Returns:
        The results by component, in the order of `checks`.
    """
    results: dict[str, list[Result]] = {}
    for component, check in checks.items():
        started(component)
        results[component] = await _run_check(check, target)
    deadline = time.monotonic() + wait_seconds
    while failing := [name for name, found in results.items() if has_failed({name: found})]:
        if time.monotonic() >= deadline:
            break
        await asyncio.sleep(REPEAT_SECONDS)
        for component in failing:
            started(component)
            results[component] = await _run_check(checks[component], target)
    return results


async def _run_check(check: Check, target: Target) -> list[Result]:
    try:
        return await check(target)
    except (HttpError, SecretFileError, StoreUnavailableError) as error:
        return [failed("answers", str(error))]
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        # Another version of the component, or another program at its address.
        return [failed("answers", f"unexpected response: {type(error).__name__}: {error}")]
