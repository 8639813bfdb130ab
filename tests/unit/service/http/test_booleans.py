"""Features that are true or false, behind HTTP: of a table, an encoder, XGBoost, a schema, a class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from support.harnesses.served_app import Serve
from tidegate.service.artefacts.import_model import import_model

RANDOM = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "age": RANDOM.integers(18, 80, 200),
        "member": RANDOM.random(200) < 0.5,
        "new": [True, False] * 100,
    }
)
LABELS = np.where(TABLE.member & (TABLE.age > 40), "yes", "no")
PLAIN = 'features = [{name = "age"}, {name = "member", kind = "boolean"}, {name = "new", kind = "boolean"}]'


def pipeline(*others: Any) -> Any:
    columns = make_column_transformer((StandardScaler(), ["age"]), *others)
    model = make_pipeline(columns, RandomForestClassifier(10, random_state=0))
    return model.fit(TABLE, LABELS)


@pytest.fixture(params=["a table", "an encoder", "XGBoost", "a schema"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Any, Path]:
    """A model that was trained on booleans, in a file that was named in no other way than people do."""
    source, file = request.param, tmp_path / "shop.joblib"
    if source == "XGBoost":
        made = xgboost.XGBClassifier(n_estimators=5).fit(TABLE, LABELS == "yes")
    elif source == "an encoder":
        made = pipeline((OneHotEncoder(), ["member", "new"]))
    else:
        made = pipeline(("passthrough", ["member", "new"]))
    if source == "a table":
        TABLE.to_csv(tmp_path / "shop.csv", index=False)
    if source == "a schema":
        (tmp_path / "shop.toml").write_text(PLAIN)
    joblib.dump(made, file)
    return made, file


async def test_true_and_false_are_accepted_where_a_model_was_trained_on_them(
    serve: Serve, model: tuple[Any, Path], tmp_path: Path
) -> None:
    made, file = model
    import_model(file, tmp_path / "out")
    rows = TABLE.head(40).to_dict(orient="records")
    numbers = [{name: int(value) for name, value in row.items()} for row in rows]
    async with serve(model=tmp_path / "out") as served:

        async def post(instances: object) -> Any:
            return await served.client.post("/predict", json={"instances": instances})

        answer, same = await post(rows), await post(numbers)
        others: tuple[Any, ...] = (2, 0.5, "true", [])
        wrong = [await post([{**rows[0], "member": value}]) for value in others]
        tensors = [
            {"name": "age", "datatype": "FP32", "shape": [1], "data": [50]},
            {"name": "member", "datatype": "BOOL", "shape": [1], "data": [True]},
            {"name": "new", "datatype": "BOOL", "shape": [1], "data": [False]},
        ]
        v2 = await served.client.post("/v2/models/shop/infer", json={"inputs": tensors})
        inputs = (await served.client.get("/v2/models/shop")).json()["inputs"]
        document = (await served.client.get("/openapi.json")).json()
    assert answer.status_code == 200, answer.text
    labels = [str(one["label"]) for one in answer.json()["predictions"]]
    assert labels == [str(label) for label in made.predict(TABLE.head(40))]
    assert [str(one["label"]) for one in same.json()["predictions"]] == labels
    assert {one.status_code for one in wrong} == {422}
    assert "Input should be true or false" in wrong[0].text
    assert v2.status_code == 200, v2.text
    # XGBoost takes missing values, which only the types of numbers have.
    datatype = "FP32" if isinstance(made, xgboost.XGBClassifier) else "BOOL"
    assert [one["datatype"] for one in inputs if one["name"] != "age"] == [datatype] * 2
    field = document["components"]["schemas"]["Instance"]["properties"]["member"]
    assert {"type": "boolean"} in field["anyOf"]
    assert field["examples"][0] in (True, False)
    assert isinstance(field["examples"][0], bool)


CODE = """
class Shop:
    features = [{"name": "member", "kind": "boolean"}, {"name": "new", "kind": "boolean", "missing": True}]

    def predict(self, rows):
        return [[row["member"], row.get("new")] for row in rows]
"""


async def test_a_class_gets_what_a_client_sent(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "boolean_shop.py").write_text(CODE)
    async with serve(model=Path("boolean_shop:Shop"), service={"app_dir": tmp_path}) as served:
        rows = [{"member": True}, {"member": False, "new": None}, {"member": True, "new": False}]
        answer = await served.client.post("/predict", json={"instances": rows})
        wrong = await served.client.post("/predict", json={"instances": [{"member": "no"}]})
    assert answer.status_code == 200, answer.text
    found = [one["values"] for one in answer.json()["predictions"]]
    assert found == [[True, None], [False, None], [True, False]]
    assert wrong.status_code == 422
