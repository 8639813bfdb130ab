"""Files of LightGBM and XGBoost that cannot be served: each is refused in one sentence."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import lightgbm
import pytest
import xgboost

from tidegate.service.artefacts.import_error import ImportModelError


def written(library: Any, data: Any, file: Path) -> bytes:
    """The file of a small booster."""
    kind = "LGBMRegressor" if library is lightgbm else "XGBRegressor"
    model = getattr(library, kind)(n_estimators=6, n_jobs=1).fit(data.table, data.value)
    (model.booster_ if library is lightgbm else model).save_model(file)
    return file.read_bytes()


@pytest.mark.parametrize("estimator", [lightgbm.LGBMRegressor, xgboost.XGBRegressor])
def test_an_estimator_that_is_not_fitted_is_refused(imported: Any, estimator: Any) -> None:
    with pytest.raises(ImportModelError, match=f"{estimator.__name__} is not a fitted model"):
        imported("new.joblib", estimator())


@pytest.mark.parametrize(("library", "name"), [(lightgbm, "p.txt"), (xgboost, "p.json")])
def test_a_file_without_the_package_is_refused_with_the_command_to_install_it(
    *,
    data: Any,
    imported: Any,
    library: Any,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = written(library, data, tmp_path / f"whole-{name}")
    package = library.__name__
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportModelError, match=rf"needs the package {package}.*pip install"):
        imported(name, content)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.txt", b"hello", "not a LightGBM model file"),
        ("m.txt", b"tree\nversion=v4\n\nend of trees\n", "LightGBM cannot read it"),
        ("m.json", b"hello", "not an XGBoost model file"),
        ("m.json", b'{"a": 1}', "XGBoost cannot read it"),
        ("m.json", b'{"learner": {', "XGBoost cannot read it"),
        ("m.ubj", b"{L\x00\x00", "XGBoost cannot read it"),
    ],
)
def test_a_damaged_file_is_refused(imported: Any, name: str, content: bytes, message: str) -> None:
    with pytest.raises(ImportModelError, match=message):
        imported(name, content)


@pytest.mark.parametrize(
    ("library", "name", "message"),
    [(lightgbm, "p.txt", "it is incomplete"), (xgboost, "p.ubj", "XGBoost cannot read it")],
)
def test_a_truncated_file_is_refused(
    *, data: Any, imported: Any, library: Any, name: str, message: str, tmp_path: Path
) -> None:
    whole = written(library, data, tmp_path / f"whole-{name}")
    with pytest.raises(ImportModelError, match=message):
        imported(name, whole[: len(whole) // 2])
