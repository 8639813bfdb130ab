"""Tests of the alert about a replica whose responses are errors."""

from __future__ import annotations

from collections.abc import Iterator

from tidegate.rules.service_rules import DURATION
from tools.generate.promtool.case_types import AlertCase


def failing_replica_cases() -> Iterator[AlertCase]:
    """Of two replicas; the gateway tries an ejected one again after a growing pause, with two requests."""
    alert = "ReplicaFailing"

    def answers(first_errors: str, first: str, second_errors: str, second: str) -> dict[str, str]:
        series: dict[str, str] = {}
        for replica, errors, good in (
            ("10.1.0.1:8000", first_errors, first),
            ("10.1.0.2:8000", second_errors, second),
        ):
            of = f'job="model",instance="{replica}",replica="{replica}"'
            status = f"{DURATION}_count{{{of},http_response_status_code="
            node = "model-a" if replica == "10.1.0.1:8000" else "model-b"
            series |= {
                f'{status}"500"}}': errors,
                f'{status}"200"}}': good,
                f'tidegate_replica_info{{{of},node="{node}"}}': "1x80",
            }
        return series

    # Twelve errors before the next scrape; then trials after 5, 15, 35, 75, 155 and 315 s.
    ejected = "12 14 14 16 16 18 18 18 18 20x5 22x10 24x20"
    first = "10.1.0.1:8000"
    labels = {"job": "model", "instance": first, "replica": first, "node": "model-a"}
    failing = answers(ejected, "0 40 80x50", "0x60", "0+100x60")
    scenario = "one replica answers errors, and is ejected"
    yield AlertCase(alert, scenario, failing, "9m", True, labels)
    well = answers(ejected, "0 40 80x20 90+100x30", "0x60", "0+100x60")
    yield AlertCase(alert, "it works again", well, "10m", fires=False)
    errors = {
        "all replicas answer errors alike": ("0+60x60", "0+40x60", "0+60x60", "0+40x60"),
        "one fails one request in a hundred": ("0+1x60", "0+99x60", "0x60", "0+100x60"),
        "one request of an idle service fails": ("_ 1x60", "0x60", "0x60", "0 1x60"),
    }
    for scenario, series in errors.items():
        yield AlertCase(alert, scenario, answers(*series), "5m", fires=False)
