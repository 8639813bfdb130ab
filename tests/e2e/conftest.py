"""What every end-to-end test needs: a trained model, and each kind of store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from driving import ROOT


@pytest.fixture(scope="session")
def artefact() -> Path:
    """The flight model's artefact, trained once for this checkout."""
    folder = ROOT / "artefacts" / "flights"
    done = subprocess.run(
        [sys.executable, "-m", "tidegate", "train", "--out", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="session", params=["embedded", "elasticsearch"])
def store_settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The settings of each kind of store; the real Elasticsearch is started when first needed."""
    if request.param == "embedded":
        return {"kind": "embedded"}
    return {
        "kind": "elasticsearch",
        "elasticsearch": {"url": request.getfixturevalue("elasticsearch_url")},
    }
