"""The start of a replica: from any classifier, without the packages of training; errors at the start."""

from __future__ import annotations

import json
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import joblib
import numpy as np
import pandas as pd
import psutil
import pytest
import tritonclient.http as triton
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from support.eventually import eventually
from support.processes.service_process import Service, service
from tidegate.service.model.artefact import MANIFEST, Artefact
from tidegate.service.serving.rollout_peers import PEERS

pytestmark = pytest.mark.integration


def test_any_joblib_classifier_is_served_under_its_own_names(tmp_path: Path) -> None:
    data = load_wine(as_frame=True)
    forest = RandomForestClassifier(20, random_state=0)
    forest.fit(data.data, data.target_names[data.target])
    file = tmp_path / "wine.joblib"
    joblib.dump(forest, file)
    rows = data.data.iloc[::9]
    with service(tmp_path, file) as found:
        eventually(lambda: found.ready() == 200, "converted and ready")
        response = httpx.post(
            f"{found.url}/predict", json={"instances": rows.to_dict("records")}, timeout=60
        ).json()
        document = httpx.get(f"{found.url}/openapi.json", timeout=60).json()
        wrong = httpx.post(
            f"{found.url}/predict", json={"instances": [{"alcohol": "strong"}]}, timeout=60
        )
        with triton.InferenceServerClient(f"127.0.0.1:{found.port}") as client:
            matrix = triton.InferInput("features", list(rows.shape), "FP32")
            matrix.set_data_from_numpy(rows.to_numpy(np.float32))
            labels = client.infer("wine", [matrix]).as_numpy("label")
        assert found.stop() == 0
    expected = forest.predict(rows).tolist()
    assert [row["label"] for row in response["predictions"]] == expected
    assert [label.decode() for label in labels] == expected
    assert "proanthocyanins" in document["components"]["schemas"]["Instance"]["properties"]
    assert wrong.json()["detail"][0]["loc"] == ["body", "instances", 0, "alcohol"]


def test_a_signal_while_the_model_loads_ends_the_process(tmp_path: Path) -> None:
    slow = tmp_path / "slow.joblib"
    joblib.dump(RandomForestClassifier(50, random_state=0).fit(*load_wine(return_X_y=True)), slow)
    with service(tmp_path, slow) as found:
        eventually(lambda: found.ready() == 503, "live, converting the model")
        converting = psutil.Process(found.process.pid).children(recursive=True)
        assert found.stop() == 0
        assert psutil.wait_procs(converting, timeout=60)[1] == []


def test_a_missing_model_ends_the_process_with_the_reason(tmp_path: Path) -> None:
    with service(tmp_path, tmp_path / "nowhere") as found:
        _, errors = found.process.communicate(timeout=60)
    assert found.process.returncode == 1
    assert b"there is no model at" in errors
    assert b"tidegate train" in errors


def test_a_pod_with_another_model_than_its_rollout_does_not_become_ready(
    flights: Artefact, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(flights.path, tmp_path / "other"))
    manifest = json.loads((other / MANIFEST).read_text())
    (other / MANIFEST).write_text(json.dumps(manifest | {"description": "another"}))

    def pod(model: Path, node: str, peers: str) -> AbstractContextManager[Service]:
        where = {"TIDEGATE_SERVICE__NODE_NAME": node, PEERS: peers}
        return service(tmp_path / node, model, **where)

    with pod(flights.path, "flights-6d9-aaaaa", "nowhere.invalid:1") as first:
        eventually(lambda: first.ready() == 200, "the first is ready")
        peers = f"127.0.0.1:{first.port}"
        with pod(other, "flights-6d9-bbbbb", peers) as second:
            _, errors = second.process.communicate(timeout=60)
        assert second.process.returncode == 1
        assert f"its ready pods serve {flights.manifest.digest}".encode() in errors
        assert b"kubectl rollout restart" in errors
        with (
            pod(flights.path, "flights-6d9-bbbbb", peers) as same,
            pod(other, "flights-777-aaaaa", peers) as next_rollout,
        ):
            eventually(lambda: same.ready() == 200, "the same model is ready")
            eventually(lambda: next_rollout.ready() == 200, "and that of another rollout")


def as_tensors(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The body of a request of the Open Inference Protocol."""
    kinds = {str: "BYTES", bool: "BOOL"}
    tensors = [
        {
            "name": name,
            "shape": [len(rows), 1],
            "datatype": kinds.get(type(first), "FP64"),
            "data": [[row[name]] for row in rows],
        }
        for name, first in rows[0].items()
    ]
    return {"inputs": tensors}


def imported_by_requests(folder: Path, model: Path, requests: list[tuple[str, Any]]) -> str:
    """What a replica imports after it is ready, while it answers these requests, as Python prints it."""
    file = folder / "imports"
    with (
        file.open("wb") as errors,
        service(folder, model, errors, PYTHONPROFILEIMPORTTIME="1") as found,
    ):
        eventually(lambda: found.ready() == 200, "ready")
        at = file.stat().st_size
        for path, body in requests:
            response = httpx.post(f"{found.url}{path}", json=body, timeout=60)
            assert response.status_code == 200, response.text
        assert b"tidegate.service.http.app" in file.read_bytes()[:at]
        imported = file.read_bytes()[at:].decode()
        assert found.stop() == 0
    return imported


def test_the_first_requests_import_nothing(
    artefact: Path, samples: list[dict[str, Any]], tmp_path: Path
) -> None:
    """It would make the first request after a start from zero slower than all others."""
    requests = [
        ("/predict", {"instances": samples[:1]}),
        ("/predict", {"instances": samples[:100]}),
        ("/v2/models/flights/infer", as_tensors(samples[:2])),
    ]
    assert imported_by_requests(tmp_path, artefact, requests) == ""


def test_the_first_request_to_an_original_imports_nothing(tmp_path: Path) -> None:
    rows = pd.DataFrame({"note": ["late parcel", "fine, thanks"] * 20, "age": [30.0, 31.0] * 20})
    columns = [("note", TfidfVectorizer(), "note"), ("age", "passthrough", ["age"])]
    model = make_pipeline(ColumnTransformer(columns), LogisticRegression())
    joblib.dump(model.fit(rows, ["bad", "good"] * 20), tmp_path / "note.joblib")
    rows.to_csv(tmp_path / "note.csv", index=False)
    request = ("/predict", {"instances": [{"note": "late again", "age": 30.5}]})
    assert imported_by_requests(tmp_path, tmp_path / "note.joblib", [request]) == ""
