"""Work after a response: a shadow scores a fraction of the requests, and rows are retained."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from support.eventually import eventually_async
from support.harnesses.served_app import Serve, Served
from support.samples.candidate_models import make_candidate
from support.samples.flight_requests import INFER, tensors
from support.samples.served_models import NAMES, write_regressor, write_tensor_model
from tidegate.monitoring.feedback.prediction_ids import outcome_id
from tidegate.monitoring.feedback.retained_rows import EVENT_ROWS
from tidegate.monitoring.retraining.stored_rows import join
from tidegate.runtime.metrics_text import sample_value
from tidegate.service.model.artefact import Artefact, ArtefactError
from tidegate.service.model.predictor import make_task
from tidegate.service.model.signature import Target
from tidegate.service.serving.background import BackgroundWorker
from tidegate.service.serving.shadow import refuse_incompatible


@pytest.fixture(scope="session")
def candidate(flights: Artefact, tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    """A candidate, trained on a week of March."""
    return make_candidate(flights, tmp_path_factory.mktemp("candidate") / "flights-next")


def value(metrics: str, name: str, **labels: str) -> float:
    found = sample_value(metrics, name, **labels)
    return -1.0 if found is None else found


async def predict(served: Served, instances: list[dict[str, Any]]) -> dict[str, Any]:
    response = await served.client.post("/predict", json={"instances": instances})
    assert response.status_code == 200
    return dict(response.json())


async def test_the_agreement_of_the_shadow_equals_that_of_its_own_predictions(
    serve: Serve, samples: list[dict[str, Any]], candidate: Artefact
) -> None:
    async with serve(model=candidate.path) as alone:
        theirs = await predict(alone, samples[:200])
    shadow = {"shadow_path": candidate.path, "shadow_share": 1}
    async with serve(model_settings=shadow) as served:
        await eventually_async(lambda: loaded(served))
        ours = await predict(served, samples[:200])
        await eventually_async(lambda: bool(served.events("shadow")))
        metrics = (await served.client.get("/metrics")).text
        (event,) = served.events("shadow")
    pairs = list(zip(ours["predictions"], theirs["predictions"], strict=True))
    agreed = sum(one["label"] == other["label"] for one, other in pairs)
    assert 0 < agreed < 200
    of = {"version": ours["model"]["version"], "shadow": candidate.manifest.version}
    assert value(metrics, "ml_shadow_predictions_total", agree="true", **of) == agreed
    assert value(metrics, "ml_shadow_predictions_total", agree="false", **of) == 200 - agreed
    assert event["trace"]["id"] == ours["trace_id"]
    fields = event["tidegate"]["shadow"]
    assert (fields["version"], fields["agreed"]) == (candidate.manifest.version, agreed)
    same = [
        other["probability"] if one["label"] == other["label"] else 1 - other["probability"]
        for one, other in pairs
    ]
    assert fields["probability"] == pytest.approx(np.mean(same), abs=1e-5)


def loaded(served: Served) -> bool:
    return served.service.after_response.shadow is not None


async def test_the_shadow_scores_requests_of_the_inference_protocol(
    serve: Serve, samples: list[dict[str, Any]], candidate: Artefact
) -> None:
    body = {"inputs": tensors(samples[:1])}
    async with serve(model_settings={"shadow_path": candidate.path, "shadow_share": 1}) as served:
        await eventually_async(lambda: loaded(served))
        response = await served.client.post(INFER, json=body)
        assert response.status_code == 200, response.text
        await eventually_async(lambda: bool(served.events("shadow")))


async def test_a_shadow_of_a_regressor_agrees_within_the_calibrated_interval(
    serve: Serve, tmp_path: Path
) -> None:
    write_regressor(tmp_path / "served")
    other = write_regressor(tmp_path / "next", seed=3)
    rows = [dict.fromkeys(NAMES, each / 20) for each in range(-5, 5)]
    async with serve(model=tmp_path / "next") as alone:
        theirs = [one["value"] for one in (await predict(alone, rows))["predictions"]]
    shadow = {"shadow_path": tmp_path / "next", "shadow_share": 1}
    async with serve(model=tmp_path / "served", model_settings=shadow) as served:
        await eventually_async(lambda: loaded(served))
        ours = (await predict(served, rows))["predictions"]
        await eventually_async(lambda: bool(served.events("shadow")))
        (event,) = served.events("shadow")
    values = np.array([one["value"] for one in ours])
    low, high = np.array([one["interval"] for one in ours]).T
    agreed = int(((low <= theirs) & (theirs <= high)).sum())
    fields = event["tidegate"]["shadow"]
    assert (fields["version"], fields["agreed"]) == (other.version, agreed)
    assert fields["value"] == pytest.approx(np.mean(theirs), rel=1e-4)
    assert fields["difference"] == pytest.approx(np.abs(values - theirs).mean(), rel=1e-4)
    assert event["tidegate"]["prediction"]["value"] == pytest.approx(values.mean(), rel=1e-4)


@pytest.mark.parametrize("wrong", ["missing", "itself"])
async def test_a_shadow_that_cannot_be_loaded_is_logged_and_fails_no_request(
    wrong: str, serve: Serve, samples: list[dict[str, Any]], flights: Artefact, tmp_path: Path
) -> None:
    path = tmp_path / "nothing" if wrong == "missing" else flights.path
    async with serve(model_settings={"shadow_path": path, "shadow_share": 1}) as served:
        await eventually_async(
            lambda: any(e["message"] == "shadow refused" for e in served.events("app"))
        )
        await predict(served, samples[:1])
        assert not loaded(served)


async def test_a_shadow_loads_beside_the_event_loop_and_its_failure_is_logged(
    serve: Serve, candidate: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaders: list[threading.Thread] = []

    def broken(*_: object) -> None:
        loaders.append(threading.current_thread())
        raise ZeroDivisionError

    monkeypatch.setattr("tidegate.service.serving.shadow.open_predictor", broken)
    async with serve(model_settings={"shadow_path": candidate.path, "shadow_share": 1}) as served:
        await eventually_async(
            lambda: any(e["message"] == "shadow not loaded" for e in served.events("app"))
        )
        assert served.replica.lifecycle.phase == "ready"
    assert loaders != [threading.main_thread()]


async def test_a_shadow_that_fails_is_counted_and_fails_no_request(
    serve: Serve,
    samples: list[dict[str, Any]],
    candidate: Artefact,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serve(model_settings={"shadow_path": candidate.path, "shadow_share": 1}) as served:
        await eventually_async(lambda: loaded(served))
        monkeypatch.setattr(served.service.after_response.shadow, "_predictor", None)
        for _ in range(2):
            await predict(served, samples[:3])
        async with asyncio.timeout(30):
            metrics = ""
            while value(metrics, "ml_shadow_dropped_total", reason="failed") != 6:
                metrics = (await served.client.get("/metrics")).text
                await asyncio.sleep(0.002)
    failures = [e for e in served.events("app") if e["message"] == "work after a response failed"]
    assert len(failures) == 1


async def test_rows_beyond_the_full_queue_are_dropped_and_counted(
    serve: Serve,
    samples: list[dict[str, Any]],
    candidate: Artefact,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shadow = {"shadow_path": candidate.path, "shadow_share": 1}
    async with serve(model_settings=shadow, drift={"keep_rows_share": 1}) as served:
        await eventually_async(lambda: loaded(served))
        monkeypatch.setattr(BackgroundWorker, "offer", lambda self, work: False)
        await predict(served, samples[:3])
        metrics = (await served.client.get("/metrics")).text
    assert value(metrics, "ml_shadow_dropped_total", reason="full") == 3
    assert value(metrics, "tidegate_rows_kept_total", written="false") == 3


async def test_rows_are_retained_with_the_prediction_ids_of_their_labels(
    serve: Serve, samples: list[dict[str, Any]]
) -> None:
    instances = samples[: EVENT_ROWS + 10]
    async with serve(drift={"keep_rows_share": 1}) as served:
        predicted = await predict(served, instances)
        outcomes = [
            {"prediction_id": prediction["prediction_id"], "label": "late"}
            for prediction in predicted["predictions"][5:]
        ]
        feedback = await served.client.post("/feedback", json={"outcomes": outcomes})
        assert feedback.status_code == 200
        await eventually_async(lambda: len(served.events("rows")) == 2)
        metrics = (await served.client.get("/metrics")).text
        rows, labels = served.events("rows"), served.events("outcome")
    found = join(rows, labels, "flights")
    assert (found.row_count, found.label_count, len(found.labelled)) == (
        len(instances),
        len(outcomes),
        len(outcomes),
    )
    assert [row.values for row in found.labelled] == instances[5:]
    assert {row.label for row in found.labelled} == {"late"}
    assert value(metrics, "tidegate_rows_kept_total", written="true") == len(instances)
    stored = orjson.dumps(rows).decode()
    assert (
        predicted["predictions"][0]["prediction_id"] not in stored
    )  # with it anyone could send a label
    assert outcome_id(predicted["predictions"][0]["prediction_id"]) in stored


async def test_no_row_is_retained_by_default(serve: Serve, samples: list[dict[str, Any]]) -> None:
    async with serve() as served:
        await predict(served, samples[:3])
    assert served.events("rows") == []
    assert served.events("request") != []


def test_queued_work_runs_in_order_and_closing_finishes_it() -> None:
    done: list[int] = []
    worker = BackgroundWorker()
    for number in range(100):
        assert worker.offer(partial(done.append, number))
    worker.close(60)
    assert done == list(range(100))


def test_a_full_queue_refuses_work_and_closing_drops_the_oldest() -> None:
    started, release, finished = threading.Event(), threading.Event(), threading.Event()
    done: list[str] = []

    def block() -> None:
        started.set()
        release.wait(10)

    def last() -> None:
        done.append("last")
        finished.set()

    worker = BackgroundWorker(2)
    assert worker.offer(block)
    assert started.wait(10)
    assert worker.offer(partial(done.append, "oldest"))
    assert worker.offer(last)
    assert not worker.offer(partial(done.append, "refused"))
    worker.close(0)
    release.set()
    assert finished.wait(10)
    assert done == ["last"]


def test_a_model_with_other_features_or_classes_is_refused_as_a_shadow(flights: Artefact) -> None:
    manifest = flights.manifest
    other = manifest.model_copy(update={"version": "other"})
    refuse_incompatible(manifest, other)
    fewer = other.model_copy(update={"features": manifest.features[1:]})
    regressor = other.model_copy(update={"task": "regression"})
    classes = other.model_copy(update={"classes": ("yes", "no")})
    for shadow, reason in (
        (classes, "has other answers: its classes are yes, no, not late, on_time"),
        (manifest, "which is the serving model"),
        (fewer, "has other features, or another order of them"),
        (regressor, "has the task regression, the serving model classification"),
    ):
        with pytest.raises(ArtefactError, match=reason):
            refuse_incompatible(manifest, shadow)


def test_predictions_that_cannot_be_compared_are_refused_as_a_shadow(tmp_path: Path) -> None:
    regressor = write_regressor(tmp_path / "regressor")
    scene = write_tensor_model(tmp_path / "scene")
    for manifest, reason in (
        (regressor, "the serving regressor has no calibrated interval"),
        (scene, "has the task values, whose predictions are not compared"),
    ):
        with pytest.raises(ArtefactError, match=reason):
            make_task(manifest).comparison(manifest)
    weight = {"version": "other", "target": Target(name="weight", unit="kg")}
    with pytest.raises(ArtefactError, match=r"predicts weight \[kg\], not progression \[points\]"):
        refuse_incompatible(regressor, regressor.model_copy(update=weight))
    fewer = scene.model_copy(update={"version": "other", "tensors": scene.tensors[1:]})
    with pytest.raises(ArtefactError, match="has other inputs"):
        refuse_incompatible(scene, fewer)
