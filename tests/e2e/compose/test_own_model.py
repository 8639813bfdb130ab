"""A model of one's own, as docs/reference/compose.md has it: a file in a folder, and a variable."""

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

from support.compose_stack import Compose

pytestmark = pytest.mark.e2e


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """Those of the page, with a folder of the test's."""
    data = load_wine(as_frame=True)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    model.fit(data.data, data.target_names[data.target])
    folder = tmp_path / "models"
    folder.mkdir()
    joblib.dump(model, folder / "wine.joblib")
    return {"TIDEGATE_MODELS": str(folder), "TIDEGATE_MODEL__PATH": "/models/wine.joblib"}


def ask(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_it_is_served_within_a_replicas_memory(project: Compose, variables: dict[str, str]) -> None:
    up = ("up", "--detach", "--wait", "--no-build", "gateway")
    done = project.call(*up, seconds=300, **variables)
    assert done.returncode == 0, f"{done.stderr}{project.logs()}"
    schemas = ask(f"{project.url('GATEWAY')}/openapi.json")["components"]["schemas"]
    answer = ask(f"{project.url('GATEWAY')}/predict", schemas["Request"]["examples"][0])
    assert answer["model"]["name"] == "wine"
    assert answer["predictions"][0]["label"].startswith("class_")
    assert "model wine " in project.call("logs", "adopt").stdout


def test_too_little_memory_for_its_conversion_is_said(
    project: Compose, variables: dict[str, str]
) -> None:
    project.run("run", "--rm", "--no-deps", "-T", "secrets")
    alone = ("run", "--rm", "--no-deps", "-T", "adopt")
    done = project.call(*alone, seconds=300, ADOPT_MEMORY="100m", **variables)
    assert done.returncode == 1
    assert "/models/wine.joblib cannot be served: " in done.stderr
    assert "too little memory" in done.stderr
    assert "Traceback" not in done.stderr
