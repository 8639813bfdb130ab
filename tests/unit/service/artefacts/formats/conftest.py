"""The rows that models of each library are trained on, and the import of a model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest

from tidegate.service.artefacts.import_model import import_model
from tidegate.service.model.artefact import Artefact, load


@pytest.fixture(scope="session")
def data() -> SimpleNamespace:
    """Rows with missing values, and what models predict for them."""
    random = np.random.default_rng(7)
    rows = random.normal(size=(300, 5))
    rows[random.random(rows.shape) < 0.1] = np.nan
    value = np.nan_to_num(rows).sum(axis=1) * 3
    return SimpleNamespace(
        rows=rows,
        value=value,
        is_high=(value > 0).astype(int),
        level=np.digitize(value, [-3, 3]),
        table=pd.DataFrame(rows, columns=list("abcde")),
    )


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
