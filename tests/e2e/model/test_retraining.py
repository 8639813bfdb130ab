"""Retraining end to end: retained rows joined with labels, a candidate, its deployment under load."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.components import IN_CI
from support.eventually import eventually
from support.processes.running_stack import Stack, running
from support.samples.candidate_models import make_candidate
from tidegate.service.model.artefact import SAMPLES, load, read_manifest

pytestmark = pytest.mark.e2e
CLIENTS = 3


@pytest.fixture(scope="module")
def candidate(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A candidate, trained on a week of March."""
    out = tmp_path_factory.mktemp("candidate") / "flights-next"
    return make_candidate(load(artefact), out).path


class Clients:
    """Clients that send requests in turn, and count the responses by status and model version."""

    def __init__(self, stack: Stack, body: bytes) -> None:
        self.stack, self.body = stack, body
        self.responses: Counter[tuple[int, str]] = Counter()
        self.deployed = threading.Event()
        self.after_deployment: Counter[tuple[int, str]] = Counter()
        """The responses to requests sent after `deployed` was set."""
        self._stop = threading.Event()
        self._lock = threading.Lock()

    @contextmanager
    def sending(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._run) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            after_deployment = self.deployed.is_set()
            try:
                response = self.stack.send("/predict", self.body)
                outcome = (response.status, response.body["model"]["version"])
            except Exception as error:  # noqa: BLE001 (any exception fails the test)
                outcome = (0, repr(error))
            with self._lock:
                self.responses[outcome] += 1
                self.after_deployment[outcome] += after_deployment


def instances(artefact: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (artefact / SAMPLES).read_bytes().splitlines()]


def versions(stack: Stack) -> list[tuple[str, str]]:
    return [(replica["state"], replica["version"]) for replica in stack.status()["replicas"]]


@IN_CI
def test_a_model_is_deployed_under_load_and_no_request_fails(
    tmp_path: Path, artefact: Path, candidate: Path
) -> None:
    before, after = read_manifest(artefact).version, read_manifest(candidate).version
    settings: dict[str, dict[str, Any]] = {
        "replicas": {"start": 2, "max": 2},
        "autoscaler": {"enabled": False},
    }
    with running(tmp_path, artefact, **settings) as stack:
        assert versions(stack) == [("ready", before)] * 2
        body = json.dumps({"instances": instances(artefact)[:3]}).encode()
        unlabelled = stack.send("/predict", body).body["predictions"]

        clients = Clients(stack, json.dumps({"instances": instances(artefact)[:1]}).encode())
        with clients.sending():
            eventually(lambda: clients.responses[200, before] > 20, "the old model responds")
            deployed = stack.run("tidegate", "deploy", str(candidate))
            assert deployed.returncode == 0, deployed.stdout + deployed.stderr
            clients.deployed.set()
            eventually(lambda: clients.after_deployment[200, after] > 20, "the new model responds")
        assert set(clients.responses) == {(200, before), (200, after)}
        assert +clients.after_deployment == {(200, after): clients.after_deployment[200, after]}
        assert versions(stack) == [("ready", after)] * 2
        assert f"every replica serves flights {after}" in deployed.stdout

        events = eventually(
            lambda: stack.search("tidegate.component:rollout AND event.action:deployed").hits,
            "the event of the deployment is stored",
        )
        assert events[0]["tidegate"]["model"]["version"] == after
        check_labels_of_the_previous_version_are_accepted(stack, unlabelled, before)
        page = report(stack, tmp_path)
        assert f"<h1>flights {after}</h1>" in page
    # Without the stack, only the store has the deployment.
    assert f"<h1>flights {before}</h1>" in report(stack, tmp_path)


def report(stack: Stack, folder: Path) -> str:
    """The page of the report."""
    out = folder / "model.html"
    done = stack.run("tidegate", "monitor", "report", "--out", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    return out.read_text(encoding="utf-8")


def check_labels_of_the_previous_version_are_accepted(
    stack: Stack, unlabelled: list[dict[str, Any]], before: str
) -> None:
    outcomes = [
        {"prediction_id": each["prediction_id"], "label": each["label"]} for each in unlabelled
    ]
    response = stack.send("/feedback", json.dumps({"outcomes": outcomes}).encode())
    assert (response.status, response.body["accepted"]) == (200, len(unlabelled))
    query = f'event.dataset:tidegate.outcome AND tidegate.model.version:"{before}"'
    eventually(
        lambda: stack.search(query).total == len(unlabelled), "their events name that version"
    )
    counted = f'sum(ml_outcomes_total{{version="{before}",correct="true"}})'
    eventually(
        lambda: (value := stack.query(counted)) and float(value[0]["value"][1]) == len(unlabelled),
        "they are counted for that version",
    )
    # Their series did not start at 3, which Prometheus would not count as an increase.
    grown = f'sum(increase(ml_outcomes_total{{version="{before}",correct="true"}}[1m]))'
    eventually(
        lambda: (value := stack.query(grown)) and float(value[0]["value"][1]) > 0,
        "and in increase()",
    )


def test_retained_rows_and_their_labels_make_a_candidate_that_is_served_when_it_is_deployed(
    tmp_path: Path, artefact: Path, store_settings: dict[str, Any]
) -> None:
    rows = instances(artefact)
    out = Path(shutil.copytree(artefact, tmp_path / "flights"))  # it is replaced where it stands
    with running(tmp_path, out, store=store_settings, drift={"keep_rows_share": 1.0}) as stack:
        for start in range(0, 500, 25):
            part = rows[start : start + 25]
            response = stack.send("/predict", json.dumps({"instances": part}).encode())
            outcomes = [
                {"prediction_id": prediction["prediction_id"], "label": rule(row)}
                for prediction, row in zip(response.body["predictions"], part, strict=True)
            ]
            feedback = stack.send("/feedback", json.dumps({"outcomes": outcomes}).encode())
            assert feedback.body["accepted"] == 25
        query = "event.dataset:(tidegate.rows OR tidegate.outcome)"
        eventually(lambda: stack.search(query).total == 20 + 500, "all events are stored")
        arguments = ("--since", "1h", "--min-rows", "500", "--out", str(out))
        done = stack.run("tidegate", "retrain", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "500 rows, 500 labels, 500 rows with a label" in done.stdout
        parent = read_manifest(artefact).version
        assert read_manifest(out).trained["parent"] == parent
        eventually(lambda: f"tidegate deploy {out}" in stack.status()["source"], "it is said")
        (replica,) = stack.status()["replicas"]
        os.kill(replica["pid"], signal.SIGKILL)
        eventually(
            lambda: (
                stack.status()["replicas"][0]["restarts"]
                and versions(stack)[0] == ("ready", parent)
            ),
            "its next process serves the same model",
        )
        assert version_served(stack, rows[:1]) == parent
        deployed = stack.run("tidegate", "deploy", str(out))
        assert deployed.returncode == 0, deployed.stdout + deployed.stderr
        assert version_served(stack, rows[:1]) == read_manifest(out).version != parent
        assert stack.search("event.action:changed").total == 1


def version_served(stack: Stack, instances: list[dict[str, Any]]) -> str:
    served = stack.send("/predict", json.dumps({"instances": instances}).encode())
    return str(served.body["model"]["version"])


def rule(row: dict[str, Any]) -> str:
    """Concept drift: the label depends on the hour alone."""
    return "late" if row["hour"] < 12 else "on_time"
