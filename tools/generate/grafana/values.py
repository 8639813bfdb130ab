"""What the dashboards' YAML files name in angle brackets: values of the settings, as text."""

from __future__ import annotations

from typing import Final

from tidegate.observability_files.watermarks import GIB, read_watermarks
from tidegate.rules.burn_rates import BURN_RATE_ALERTS
from tidegate.rules.drift_rules import FRESH
from tidegate.rules.pipeline_alerts import LAG_SECONDS
from tidegate.rules.promql import number
from tidegate.rules.quality_rules import WINDOWS
from tidegate.rules.service_rules import objective_histogram
from tidegate.settings import Settings

# From this share of the objective a latency is shown as near it.
NEAR: Final = 0.8


def values(settings: Settings) -> dict[str, str]:
    """Each value by its name."""
    slo, drift, marks = settings.slo, settings.drift, read_watermarks()
    stale, slots = settings.autoscaler.stale_seconds, settings.slots.per_replica
    allowed = 1 - slo.availability
    first_byte = slo.until == "first_byte"
    numbers = {
        "allowed": allowed,
        "allowed_percent": allowed * 100,
        "burns_fast": BURN_RATE_ALERTS[0].threshold(allowed),
        "quantile": slo.latency_quantile * 100,
        "seconds": slo.latency_seconds,
        "near_seconds": NEAR * slo.latency_seconds,
        "slots": slots,
        "four_times_slots": 4 * slots,
        "most_replicas": settings.replicas.max,
        "stale": stale,
        "half_stale": stale / 2,
        "lag": LAG_SECONDS,
        "third_of_lag": LAG_SECONDS / 3,
        "low_watermark": marks.low // GIB,
        "flood_watermark": marks.flood_stage // GIB,
        "dataset_share": drift.dataset_share,
        "psi_warning": drift.psi_warning,
        "psi_critical": drift.psi_critical,
        "samples": drift.samples,
        "outcomes": drift.outcomes,
        "error_z": drift.error_z,
        "error_rise_warning": drift.error_rise_warning,
        "error_rise_critical": drift.error_rise_critical,
    }
    return {
        **{name: number(value) for name, value in numbers.items()},
        "short_window": BURN_RATE_ALERTS[0].short,
        "measured": objective_histogram(slo),
        "response_time": "Time to the first byte" if first_byte else "Response time",
        "finish": "send their first byte" if first_byte else "finish",
        "slot_series": f"service:slot{'_objective' if first_byte else ''}_seconds_p95:1m",
        "slot_time": f"p95 of the time in a slot{' to the first byte' if first_byte else ''}",
        # The longest of the intervals at which the windows about a model are recorded.
        "fresh": FRESH[WINDOWS[-1]],
    }
