"""The flight model, trained once per checkout, and sample rows for it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from support.checkout import ROOT
from tidegate.service.model.artefact import SAMPLES, Artefact, load
from tidegate.service.training.train import train_flights


@pytest.fixture(scope="session")
def flights() -> Artefact:
    folder = ROOT / "artefacts" / "flights"
    train_flights(folder)
    return load(folder)


@pytest.fixture(scope="session")
def samples(flights: Artefact) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (flights.path / SAMPLES).read_bytes().splitlines()]
