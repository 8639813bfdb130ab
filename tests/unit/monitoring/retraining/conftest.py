"""The flight model, which the tests retrain, and sample rows for it."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from tidegate.service.model.artefact import SAMPLES, Artefact, load


@pytest.fixture(scope="session")
def flights(artefact: Path) -> Artefact:
    return load(artefact)


@pytest.fixture(scope="session")
def samples(flights: Artefact) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (flights.path / SAMPLES).read_bytes().splitlines()]
