"""The start of a replica: from any classifier, without the packages of training; errors at the start."""

from __future__ import annotations

from pathlib import Path

import httpx
import joblib
import numpy as np
import psutil
import pytest
import tritonclient.http as triton
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier

from support.eventually import eventually
from support.processes.service_process import service

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
