"""Import of classifiers saved by joblib, with their feature names and classes."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import orjson
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from tidegate.service.artefacts import import_cache
from tidegate.service.artefacts.import_cache import find_model, import_digest
from tidegate.service.artefacts.import_model import import_model, main
from tidegate.service.model import artefact
from tidegate.service.model.artefact import ArtefactError
from tidegate.service.model.features import Schema
from tidegate.service.model.loaded_model import open_predictor
from tidegate.settings import Settings


def saved(folder: Path, name: str, model: Any) -> Path:
    file = folder / f"{name}.joblib"
    joblib.dump(model, file)
    return file


def wine() -> Any:
    """A model with named classes and named features."""
    data = load_wine(as_frame=True)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    return model.fit(data.data, data.target_names[data.target])


def houses(rows: int = 300) -> tuple[pd.DataFrame, Any]:
    """A table of strings and numbers, and a pipeline that selects its columns by name."""
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "city": random.choice(["Lima", "Oslo", "Rome"], rows),
            "size": random.normal(50, 10, rows),
            "rooms": random.integers(1, 6, rows),
        }
    )
    price = np.where((table["size"] > 50) ^ (table["city"] == "Oslo"), "dear", "cheap")
    encode = ColumnTransformer(
        [
            ("texts", OneHotEncoder(handle_unknown="ignore"), ["city"]),
            ("numbers", StandardScaler(), ["size", "rooms"]),
        ]
    )
    return table, make_pipeline(encode, LogisticRegression()).fit(table, price)


def test_features_and_classes_keep_their_names_and_samples_are_valid(tmp_path: Path) -> None:
    model = wine()
    import_model(saved(tmp_path, "wine", model), tmp_path / "out")
    found = artefact.load(tmp_path / "out")
    assert found.manifest.name == "wine"
    assert found.manifest.features[0].name == "alcohol"
    assert found.manifest.classes == ("class_0", "class_1", "class_2")
    rows = load_wine().data[::20].astype(np.float32)
    prediction = open_predictor(found)[0].predict(rows)
    expected = model.predict(pd.DataFrame(rows, columns=model.feature_names_in_))
    assert [found.manifest.classes[i] for i in prediction.labels] == expected.tolist()
    schema = Schema(found.manifest.features)
    lines = (found.path / artefact.SAMPLES).read_bytes().splitlines()
    matrix = schema.encode([orjson.loads(line) for line in lines])
    assert matrix.shape == (500, 13)
    # Synthetic rows are around the scaler's means; alcohol is 11 to 15 in the data.
    assert 12.5 < matrix[:, 0].mean() < 13.5
    example = {feature.name: feature.example for feature in found.manifest.features}
    assert schema.encode([example]).shape == (1, 13)


def test_strings_of_a_table_become_categories(tmp_path: Path) -> None:
    table, model = houses()
    import_model(saved(tmp_path, "houses", model), tmp_path / "out")
    found = artefact.load(tmp_path / "out")
    city = found.manifest.features[0]
    assert (city.kind, city.categories) == ("category", ("Lima", "Oslo", "Rome"))
    assert found.manifest.input == "columns"
    rows = table.head(20)
    matrix = Schema(found.manifest.features).encode(rows.to_dict("records"))
    prediction = open_predictor(found)[0].predict(matrix)
    np.testing.assert_allclose(
        prediction.probabilities, model.predict_proba(rows), rtol=0, atol=1e-5
    )


def test_rows_beside_the_file_give_ranges_and_a_reference(tmp_path: Path) -> None:
    table, model = houses()
    file = saved(tmp_path, "houses", model)
    table.assign(price=1).to_csv(tmp_path / "houses.csv", index=False)
    manifest = import_model(file, tmp_path / "out")
    rooms = manifest.features[2]
    assert rooms.observed == (1.0, 5.0)
    assert manifest.parity["real_rows"]
    reference = orjson.loads((tmp_path / "out" / artefact.REFERENCE).read_bytes())
    assert reference["samples"] == 300
    (cities,) = [f for f in reference["features"] if f["name"] == "city"]
    assert sum(cities["counts"]) == 300


def test_rows_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    file = saved(tmp_path, "houses", houses()[1])
    (tmp_path / "houses.csv").write_text("city,size,rooms\nRome,1,2\nBonn,3,4\n")
    message = r"does not fit the model: .*1\.city: Unknown value 'Bonn'"
    with pytest.raises(ArtefactError, match=message):
        import_model(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_synthetic_rows_of_a_tree_are_around_its_thresholds(tmp_path: Path) -> None:
    data = load_wine()
    tree = DecisionTreeClassifier(random_state=0).fit(data.data, data.target)
    import_model(saved(tmp_path, "tree", tree), tmp_path / "out")
    lines = (tmp_path / "out" / artefact.SAMPLES).read_bytes().splitlines()
    proline = [orjson.loads(line)["f12"] for line in lines]
    assert min(proline) > 300
    assert max(proline) < 1500


def test_a_model_of_another_scikit_learn_is_refused_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = DecisionTreeClassifier(random_state=0).fit([[0], [1]], [0, 1])
    with monkeypatch.context() as older:
        older.setattr("sklearn.base.__version__", "1.5.0")
        file = saved(tmp_path, "old", model)
    with pytest.raises(ArtefactError, match=r"saved by scikit-learn 1\.5\.0, here is"):
        import_model(file, tmp_path / "out")


def test_importing_twice_gives_the_same_artefact(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = saved(tmp_path, "wine", wine()), tmp_path / "out"
    assert main([str(file), str(out)]) == 0
    before = (out / artefact.MANIFEST).stat().st_mtime_ns
    assert main([str(file), str(out)]) == 0
    assert (out / artefact.MANIFEST).stat().st_mtime_ns == before
    assert "model wine" in capsys.readouterr().out


def test_an_edited_file_rows_or_schema_give_another_artefact(tmp_path: Path) -> None:
    file = tmp_path / "m.joblib"
    digests = []
    for name, text in (
        ("m.joblib", "one"),
        ("m.csv", "a\n1\n"),
        ("schema.toml", 'task = "values"\n'),
        ("schema.toml", 'task = "regression"\n'),
        ("m.joblib", "two"),
    ):
        (tmp_path / name).write_text(text)
        digests.append(import_digest(file))
    assert len(set(digests)) == 5


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ([1, 2, 3], "list is not a fitted classifier"),
        (DecisionTreeClassifier().fit([[1.0], [2.0]], [0, 0]), "was fitted on rows of one class"),
    ],
)
async def test_a_file_that_cannot_be_converted_is_refused_with_the_reason(
    tmp_path: Path, model: object, reason: str
) -> None:
    file = saved(tmp_path, "model", model)
    with pytest.raises(ArtefactError, match=reason):
        await find_model(file, Settings(stack={"data_dir": tmp_path}))


class OutOfMemory:
    """Kills the process that loads it, as the kernel does for lack of memory."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return signal.raise_signal, (signal.SIGKILL,)


async def test_a_conversion_that_was_killed_names_memory(tmp_path: Path) -> None:
    file = saved(tmp_path, "large", OutOfMemory())
    with pytest.raises(ArtefactError, match=r"large\.joblib .* was killed.* memory"):
        await find_model(file, Settings(stack={"data_dir": tmp_path}))


def test_models_are_converted_before_the_replicas_start_and_a_shadow_may_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, shadow = tmp_path / "wine.joblib", tmp_path / "next.joblib"
    for name, path in (("MODEL__PATH", file), ("MODEL__SHADOW_PATH", shadow)):
        monkeypatch.setenv(f"TIDEGATE_{name}", str(path))
    monkeypatch.setenv("TIDEGATE_STACK__DATA_DIR", str(tmp_path / "data"))
    assert import_cache.main() == 1
    assert f"there is no model at {file}: save it there" in capsys.readouterr().err
    saved(tmp_path, "wine", wine())
    assert import_cache.main() == 0
    output = capsys.readouterr()
    assert f" in {tmp_path / 'data' / 'artefacts' / import_digest(file)}\n" in output.out
    assert f"there is no model at {shadow}" in output.err
    shadow.write_bytes(file.read_bytes() + b"\n")
    assert import_cache.main() == 0
    assert f" in {tmp_path / 'data' / 'artefacts' / import_digest(shadow)}\n" in (
        capsys.readouterr().out
    )
    monkeypatch.setenv("TIDEGATE_GATEWAY__PORT", "none")
    assert import_cache.main() == 2
    assert "gateway.port" in capsys.readouterr().err
