"""A model that no ONNX model equals, behind HTTP: its original answers, with texts and missing values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

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


@pytest.mark.parametrize(
    "encoder",
    [
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
        make_pipeline(
            SimpleImputer(strategy="constant", fill_value="none", missing_values=None),
            OneHotEncoder(handle_unknown="ignore"),
        ),
    ],
    ids=["an encoder that learned None", "an imputer of None"],
)
async def test_a_null_is_what_the_model_was_fitted_with(
    serve: Serve, encoder: Any, tmp_path: Path
) -> None:
    drawn = np.random.default_rng(3)
    plan = drawn.choice(np.array(["basic", "pro", None], dtype=object), 200)
    table = pd.DataFrame(
        {"plan": pd.Series(plan, dtype=object), "age": drawn.integers(18, 80, 200).astype(float)}
    )
    labels = (table["plan"].isna() ^ (table["age"] > 50)).to_numpy()
    columns = ColumnTransformer([("plan", encoder, ["plan"])], remainder="passthrough")
    model = make_pipeline(columns, RandomForestClassifier(20, random_state=1))
    model.fit(table, np.where(labels, "stays", "leaves"))
    joblib.dump(model, tmp_path / "churn.joblib")
    (tmp_path / "churn.toml").write_text(
        '[[features]]\nname = "plan"\ncategories = ["basic", "pro"]\nmissing = true\n'
    )
    import_model(tmp_path / "churn.joblib", tmp_path / "out")
    async with serve(model=tmp_path / "out") as served:
        rows = table.to_dict("records")
        response = await served.client.post("/predict", json={"instances": rows})
    assert response.status_code == 200, response.text
    answers = response.json()["predictions"]
    assert [found["label"] for found in answers] == model.predict(table).tolist()
    expected = model.predict_proba(table).max(axis=1)
    assert [found["probability"] for found in answers] == pytest.approx(expected, abs=1e-5)


async def test_it_has_predicted_before_it_is_ready(
    serve: Serve, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joblib.dump(model, tmp_path / "note.joblib")
    TABLE.to_csv(tmp_path / "note.csv", index=False)
    import_model(tmp_path / "note.joblib", tmp_path / "out")
    predicted: list[int] = []
    real = LogisticRegression.predict_proba

    def counted(model: Any, rows: Any) -> Any:
        predicted.append(rows.shape[0])
        return real(model, rows)

    monkeypatch.setattr(LogisticRegression, "predict_proba", counted)
    async with serve(model=tmp_path / "out"):
        assert predicted == [1]
