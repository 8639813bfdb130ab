"""A stack that is stopped and started again in the same folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.components import IN_CI
from support.eventually import eventually
from support.processes.running_stack import prepared, running

pytestmark = [pytest.mark.e2e, IN_CI]
SLOTS = "service:slots:now"


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
            lambda: before.value(SLOTS) == 3 * before.settings.slots.per_replica,
            "three replicas are read",
        )
    with running(tmp_path, artefact, **same, replicas={"first_port": first, "start": 1}) as after:
        # Well below the five minutes of Prometheus' default lookback.
        eventually(
            lambda: after.value(SLOTS) == after.settings.slots.per_replica, "one replica is read"
        )
        eventually(
            lambda: after.value("service:signal_age_seconds:now") < 10, "the signals are fresh"
        )
