"""A custom model, as documented in docs/reference/compose.md: a file in a folder, and a variable."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import joblib
import pytest
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from support.processes.compose_stack import Compose

pytestmark = pytest.mark.e2e


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """The documented variables, with a temporary folder."""
    data = load_wine(as_frame=True)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    model.fit(data.data, data.target_names[data.target])
    folder = tmp_path / "models"
    folder.mkdir()
    joblib.dump(model, folder / "wine.joblib")
    return {"TIDEGATE_MODELS": str(folder), "TIDEGATE_MODEL__PATH": "/models/wine.joblib"}


def fetch(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def test_a_custom_model_is_served_within_the_memory_of_a_replica(
    project: Compose, variables: dict[str, str]
) -> None:
    up = ("up", "--detach", "--wait", "--no-build", "gateway")
    done = project.call(*up, seconds=300, **variables)
    assert done.returncode == 0, f"{done.stderr}{project.logs()}"
    schemas = fetch(f"{project.url('GATEWAY')}/openapi.json")["components"]["schemas"]
    response = fetch(f"{project.url('GATEWAY')}/predict", schemas["Request"]["examples"][0])
    assert response["model"]["name"] == "wine"
    assert response["predictions"][0]["label"].startswith("class_")
    assert "model wine " in project.call("logs", "adopt").stdout


def test_too_little_memory_for_the_conversion_is_reported(
    project: Compose, variables: dict[str, str]
) -> None:
    project.run("run", "--rm", "--no-deps", "-T", "secrets")
    options = ("run", "--rm", "--no-deps", "-T", "adopt")
    done = project.call(*options, seconds=300, ADOPT_MEMORY="100m", **variables)
    assert done.returncode == 1
    assert "/models/wine.joblib cannot be served: " in done.stderr
    assert "too little memory" in done.stderr
    assert "Traceback" not in done.stderr
