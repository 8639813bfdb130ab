"""A model that no ONNX model equals, behind HTTP: its original answers, with texts and missing values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from support.harnesses.served_app import Serve
from tidegate.service.artefacts.import_model import import_model

TABLE = pd.DataFrame({"note": ["late parcel", "fine, thanks"] * 20, "age": [30.0, np.nan] * 20})
LABELS = np.array(["bad", "good"] * 20)


@pytest.fixture(scope="module")
def model() -> Any:
    columns = [("note", TfidfVectorizer(), "note"), ("age", SimpleImputer(), ["age"])]
    return make_pipeline(ColumnTransformer(columns), LogisticRegression()).fit(TABLE, LABELS)


async def test_a_pipeline_of_texts_is_served_as_any_other(
    serve: Serve, model: Any, tmp_path: Path
) -> None:
    joblib.dump(model, tmp_path / "note.joblib")
    TABLE.to_csv(tmp_path / "note.csv", index=False)
    import_model(tmp_path / "note.joblib", tmp_path / "out")
    row = {"note": "late again", "age": None}
    tensors = [
        {"name": "note", "datatype": "BYTES", "shape": [1], "data": ["late again"]},
        {"name": "age", "datatype": "FP64", "shape": [1], "data": [31.5]},
    ]
    async with serve(model=tmp_path / "out") as served:
        response = await served.client.post("/predict", json={"instances": [row]})
        wrong = await served.client.post("/predict", json={"instances": [{"note": 3, "age": 1}]})
        v2 = await served.client.post("/v2/models/note/infer", json={"inputs": tensors})
        document = (await served.client.get("/openapi.json")).json()
    assert response.status_code == 200, response.text
    (found,) = response.json()["predictions"]
    expected = model.predict_proba(pd.DataFrame([row]).astype({"age": float}))[0]
    assert found["label"] == model.classes_[expected.argmax()]
    assert found["probability"] == pytest.approx(expected.max(), abs=1e-6)
    assert wrong.status_code == 422
    assert "Input should be a string" in wrong.text
    assert v2.status_code == 200, v2.text
    assert (
        v2.json()["outputs"][0]["data"]
        == model.predict(pd.DataFrame({"note": ["late again"], "age": [31.5]})).tolist()
    )
    properties = document["components"]["schemas"]["Instance"]["properties"]
    assert properties["note"]["type"] == "string"
