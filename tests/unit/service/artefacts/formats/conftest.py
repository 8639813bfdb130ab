"""Models of each library, trained once per worker on the same rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest

from tidegate.service.artefacts.import_model import import_model
from tidegate.service.model.artefact import Artefact, load


def _rows() -> Any:
    random = np.random.default_rng(7)
    rows = random.normal(size=(300, 5))
    rows[random.random(rows.shape) < 0.1] = np.nan
    return rows


@dataclass(frozen=True)
class Data:
    """Rows with missing values, and what models predict for them."""

    rows: Any = field(default_factory=_rows)

    @property
    def value(self) -> Any:
        return np.nan_to_num(self.rows).sum(axis=1) * 3

    @property
    def is_high(self) -> Any:
        return (self.value > 0).astype(int)

    @property
    def level(self) -> Any:
        return np.digitize(self.value, [-3, 3])

    @property
    def table(self) -> pd.DataFrame:
        return pd.DataFrame(self.rows, columns=list("abcde"))


@pytest.fixture(scope="session")
def data() -> Data:
    return Data()


Import = Callable[..., Artefact]


@pytest.fixture
def imported(tmp_path: Path) -> Import:
    """Imports a model: an object for joblib, a function that writes the file, or its content."""

    def run(name: str, model: Any, *, schema: str = "", rows: str = "") -> Artefact:
        file = tmp_path / name
        if isinstance(model, bytes):
            file.write_bytes(model)
        elif callable(model):
            model(file)
        else:
            joblib.dump(model, file)
        if schema:
            (tmp_path / "schema.toml").write_text(schema)
        if rows:
            file.with_suffix(".csv").write_text(rows)
        import_model(file, tmp_path / "out")
        return load(tmp_path / "out")

    return run
