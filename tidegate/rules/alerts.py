"""The list of all alerts."""

from __future__ import annotations

from tidegate.rules.alert import Alert
from tidegate.rules.burn_rates import burn_rate_alerts
from tidegate.rules.model_alerts import model_alerts
from tidegate.rules.pipeline_alerts import pipeline_alerts
from tidegate.rules.service_alerts import service_alerts
from tidegate.settings import Settings


def alerts(settings: Settings) -> tuple[Alert, ...]:
    """Every alert, for these settings."""
    return (
        *burn_rate_alerts(settings.slo),
        *service_alerts(settings),
        *pipeline_alerts(),
        *model_alerts(settings.drift),
    )
