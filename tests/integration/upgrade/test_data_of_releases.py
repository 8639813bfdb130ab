"""This version goes on with what each release before it has left."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
import yaml

from support.checkout import ROOT
from support.kubernetes.chart import URL, render
from support.releases.data import ReleaseData, assert_all_once
from tidegate.autoscaler.live.override import OverrideFile
from tidegate.collector.checkpoint import Checkpoint
from tidegate.lab.replay.command import difference
from tidegate.lab.replay.decisions import read_decisions
from tidegate.monitoring.feedback.prediction_ids import PredictionIds
from tidegate.monitoring.feedback.signing_key import prediction_key
from tidegate.service.model.artefact import load as load_artefact
from tidegate.settings import Settings
from tidegate.store.embedded.store import EmbeddedStore

pytestmark = pytest.mark.integration

CLASSES = ("late", "paid")


def test_every_event_is_found_once(release: ReleaseData) -> None:
    assert len(release.written()) > 100
    release.deliver()
    assert_all_once(release.stored(), release)
    said = [hit["message"] for hit in release.hits("event.dataset:tidegate.collector")]
    assert not [text for text in said if "damaged" in text or "cannot be read" in text]


def test_the_store_itself_keeps_every_event_without_the_files(release: ReleaseData) -> None:
    with closing(EmbeddedStore(release.data / "store")) as store:
        before = store.count()
    for file in (release.data / "logs").iterdir():
        file.unlink()
    unread = 20
    release.deliver()
    assert before > 100 - unread
    assert len(release.stored()) >= before


def test_the_checkpoint_goes_on_where_it_ended(release: ReleaseData) -> None:
    sizes = {file.name: file.stat().st_size for file in (release.data / "logs").iterdir()}
    checkpoint = Checkpoint(release.data / "collector" / "checkpoint.json")
    progress = checkpoint.load()
    assert checkpoint.problem == ""
    unread = {name for name, size in sizes.items() if progress.offsets.get(name, 0) < size}
    assert {name.partition(".")[0] for name in unread} == {"jobs-1"}
    release.deliver()
    delivered = checkpoint.load().offsets
    assert [name for name in progress.offsets if delivered[name] < progress.offsets[name]] == []
    assert [name for name, size in sizes.items() if delivered.get(name, 0) < size] == []


def test_its_decisions_replay_to_the_same_numbers(release: ReleaseData) -> None:
    problems = list[tuple[int, str]]()
    lines = [
        line
        for file in (release.data / "logs").iterdir()
        for line in file.read_bytes().splitlines()
    ]
    decisions = list(read_decisions(lines, lambda line, why: problems.append((line, why))))
    assert problems == []
    assert len(decisions) >= 8
    different = {difference(one).partition(":")[0] for one in decisions}
    assert different <= {"", "message"}, different


def test_labels_of_its_predictions_are_still_accepted(release: ReleaseData) -> None:
    ids = PredictionIds(prediction_key(release.settings), "next", b"none")
    predictions = release.predictions
    assert len(predictions) == 30
    read = [int(ids.read(one["prediction_id"]).value) for one in predictions]
    assert [CLASSES[value] for value in read] == [one["label"] for one in predictions]


def test_its_models_load(release: ReleaseData) -> None:
    folders = [path.parent for path in release.data.glob("*/*/manifest.json")]
    assert folders
    for folder in folders:
        assert load_artefact(folder).manifest.classes == CLASSES


def test_its_settings_and_its_pause_are_valid(release: ReleaseData) -> None:
    content = (release.folder / "settings.json").read_text()
    assert Settings.model_validate_json(content).service.name == "loans"
    found, problem = OverrideFile(release.data / "autoscaler" / "control.json").read(0)
    assert (found is not None, problem) == (True, "")


def test_its_volumes_are_those_of_docker_compose(release: ReleaseData) -> None:
    before, now = (
        yaml.safe_load((folder / "docker-compose.yml").read_text())
        for folder in (release.folder, ROOT)
    )
    assert before["volumes"].keys() <= now["volumes"].keys()
    for name, service in before["services"].items():
        if name in now["services"]:
            kept = [one for one in _mounts(service) if one.partition(":")[0] in before["volumes"]]
            assert set(kept) <= set(_mounts(now["services"][name])), name


def _mounts(service: dict[str, Any]) -> list[str]:
    return [str(one) for one in service.get("volumes", ())]


def test_its_values_are_those_of_the_chart(release: ReleaseData) -> None:
    # As `helm upgrade --reuse-values` gives them: all, also those that nobody has changed.
    values = yaml.safe_load((release.folder / "values.yaml").read_text())
    values["elasticsearch"]["url"] = URL
    assert {"Deployment", "Service", "ConfigMap"} <= {one["kind"] for one in render(values)}
