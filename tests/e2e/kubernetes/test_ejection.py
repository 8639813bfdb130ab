"""A pod that is ready but answers 500: the gateway ejects it, and the alert has its name."""

from __future__ import annotations

import contextlib
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest

from support.components import AT_NIGHT
from support.eventually import eventually
from support.kubernetes.cluster import Cluster
from support.kubernetes.release import Release, Store, released

# By day tests/integration/gateway/test_ejection.py has the ejection, and promtool the alert.
pytestmark = [pytest.mark.e2e, AT_NIGHT]

BROKEN: Final = "/tmp/broken"
APPLICATION: Final = f"""
import pathlib, time
import uvicorn
from fastapi import FastAPI, Response
from tidegate.telemetry import instrument

app = FastAPI()
instrument(app)

@app.get("/live")
@app.get("/ready")
def ready():
    return {{}}

@app.post("/predict")
def predict(response: Response):
    if pathlib.Path("{BROKEN}").exists():
        response.status_code = 500
    else:
        time.sleep(0.05)
    return {{}}

uvicorn.run(app, host="0.0.0.0", port=8000, timeout_keep_alive=75)
"""
REQUESTS: Final = 300
CLIENTS: Final = 4
# With two replicas the first ejection takes 12 errors if both answer as many requests, and up to 22 in 100
# simulations; the requests in progress fail, too. Each later trial is two errors and those in progress.
FIRST_ERRORS: Final = 30
TRIAL_ERRORS: Final = 2 + CLIENTS
# Trials begin 5, 15, 35, 75 and 155 s after the first ejection.
MOST_TRIALS: Final = 4
ALERT_SECONDS: Final = 240.0


@pytest.fixture(scope="module")
def release(cluster: Cluster, store: Store) -> Iterator[Release]:
    """The chart with two replicas of an application, one of which can be made to fail."""
    values = {
        "scaling": {"mode": "resizer"},
        "settings": {"replicas": {"min": 2, "max": 2}},
        "model": {"command": ["python", "-c", APPLICATION]},
    }
    with released(cluster, store, "ejection", values) as installed:
        yield installed


def status(release: Release) -> int:
    request = urllib.request.Request(f"{release.gateway}/predict", data=b"{}")
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


@contextlib.contextmanager
def requests(release: Release) -> Iterator[None]:
    """Send some requests a second while the block runs."""
    end = threading.Event()

    def send() -> None:
        while not end.wait(0.2):
            status(release)

    with ThreadPoolExecutor(1) as sender:
        sending = sender.submit(send)
        try:
            yield
        finally:
            end.set()
            sending.result(60)


def test_a_pod_that_is_ready_but_answers_500_is_ejected_and_named(release: Release) -> None:
    release.wait_for_replicas(2, 2, seconds=120)
    eventually(lambda: release.value("service:replicas_ready:now") == 2, "two replicas", seconds=60)
    bad = min(release.pods())
    release.kubectl.run("exec", "-n", release.namespace, bad, "-c", "model", "--", "touch", BROKEN)
    with ThreadPoolExecutor(CLIENTS) as clients:
        found = Counter(clients.map(lambda _: status(release), range(REQUESTS)))
    assert found[200] + found[500] == REQUESTS, found
    assert 5 <= found[500] <= FIRST_ERRORS + MOST_TRIALS * TRIAL_ERRORS, found
    assert release.replicas()["ready"] == 2
    with requests(release):
        alert = f'ALERTS{{alertname="ReplicaFailing",node="{bad}"}}'
        eventually(
            lambda: release.value(alert) == 1, f"an alert about {bad}", seconds=ALERT_SECONDS
        )
    assert release.value('count(ALERTS{alertname="ReplicaFailing"})') == 1
