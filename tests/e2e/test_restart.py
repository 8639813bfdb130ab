"""A stack that is stopped and started again in the same folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.eventually import eventually
from support.processes.running_stack import Stack, prepared, running

pytestmark = pytest.mark.e2e


def test_replicas_of_the_previous_run_do_not_count_after_a_restart(
    tmp_path: Path, artefact: Path
) -> None:
    # The same ports, so that the same series continue.
    settings = prepared(tmp_path, artefact).settings
    same = {
        name: getattr(settings, name).model_dump(mode="json", exclude_none=True)
        for name in ("gateway", "prometheus", "collector", "autoscaler")
    }
    same["autoscaler"] = {"metrics_port": settings.autoscaler.metrics_port, "enabled": False}
    first = settings.replicas.first_port
    with running(tmp_path, artefact, **same, replicas={"first_port": first, "start": 3}) as before:
        eventually(
            lambda: slots(before) == 3 * before.settings.slots.per_replica,
            "three replicas are read",
        )
    with running(tmp_path, artefact, **same, replicas={"first_port": first, "start": 1}) as after:
        # Well below the five minutes of Prometheus' default lookback.
        eventually(lambda: slots(after) == after.settings.slots.per_replica, "one replica is read")
        eventually(lambda: signal_age(after) < 10, "the signals are fresh")


def slots(stack: Stack) -> float:
    return value(stack, "service:slots:now")


def signal_age(stack: Stack) -> float:
    return value(stack, "service:signal_age_seconds:now")


def value(stack: Stack, series: str) -> float:
    found = stack.query(series)
    return float(found[0]["value"][1]) if found else float("inf")
