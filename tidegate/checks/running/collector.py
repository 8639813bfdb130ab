"""The collector, from its metrics in Prometheus."""

from __future__ import annotations

from tidegate.checks.running.target import Target
from tidegate.rules.pipeline_alerts import LAG_SECONDS
from tidegate.runtime.check_results import Result, count, failed, ok
from tidegate.runtime.prometheus import Prometheus


async def check(target: Target) -> list[Result]:
    """Check that it delivers, its lag, and that no line is quarantined."""
    prometheus = Prometheus(target.session, target.prometheus)
    up = await prometheus.value("tidegate_collector_sink_up")
    lag = await prometheus.value("tidegate_collector_lag_seconds")
    quarantined = round(await prometheus.value("tidegate_collector_quarantined_total"))
    behind = f"the oldest undelivered event is {lag:.0f} s old"
    return [
        ok("sink", "accepted the last delivery")
        if up
        else failed("sink", "refused the last delivery"),
        failed("lag", behind) if lag > LAG_SECONDS else ok("lag", behind if lag else "none"),
        failed("quarantine", f"{count(quarantined, 'line')} in collector/quarantine.ndjson")
        if quarantined
        else ok("quarantine", "empty"),
    ]
