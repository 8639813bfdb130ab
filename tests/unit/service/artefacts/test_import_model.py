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
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from tidegate.service.artefacts import import_cache
from tidegate.service.artefacts.import_cache import find_model, import_digest
from tidegate.service.artefacts.import_model import import_model, main
from tidegate.service.artefacts.sklearn_parts import feature_names
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


def test_features_and_classes_keep_their_names(tmp_path: Path) -> None:
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


def test_features_without_names_are_numbered(tmp_path: Path) -> None:
    data = load_breast_cancer()
    forest = RandomForestClassifier(10, random_state=0).fit(data.data, data.target)
    manifest = import_model(saved(tmp_path, "cancer", forest), tmp_path / "out")
    assert [feature.name for feature in manifest.features] == [f"f{i}" for i in range(30)]
    assert manifest.classes == (0, 1)


def test_samples_of_an_imported_model_are_valid_instances(tmp_path: Path) -> None:
    manifest = import_model(saved(tmp_path, "wine", wine()), tmp_path / "out")
    lines = (tmp_path / "out" / artefact.SAMPLES).read_bytes().splitlines()
    matrix = Schema(manifest.features).encode([orjson.loads(line) for line in lines])
    assert matrix.shape == (500, 13)
    example = {feature.name: feature.example for feature in manifest.features}
    # Synthetic rows are around the scaler's means; alcohol is 11 to 15 in the data.
    assert 12.5 < matrix[:, 0].mean() < 13.5
    assert Schema(manifest.features).encode([example]).shape == (1, 13)


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


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("city,size\nRome,1\n", "has no column rooms"),
        ("city,size,rooms\n", "has no rows"),
        (
            "city,size,rooms\nRome,1,2\nBonn,3,4\n",
            r"does not fit the model: .*1\.city: Unknown value 'Bonn'",
        ),
        ("city,size,rooms\nRome,big,2\n", r"does not fit the model: .*0\.size"),
    ],
)
def test_rows_that_do_not_fit_are_refused_with_the_reason(
    tmp_path: Path, rows: str, message: str
) -> None:
    file = saved(tmp_path, "houses", houses()[1])
    (tmp_path / "houses.csv").write_text(rows)
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


def test_a_model_without_its_number_of_features_is_refused() -> None:
    with pytest.raises(ArtefactError, match="does not state its number of features"):
        feature_names(object())


def test_importing_twice_gives_the_same_artefact(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = saved(tmp_path, "wine", wine()), tmp_path / "out"
    assert main([str(file), str(out)]) == 0
    before = (out / artefact.MANIFEST).stat().st_mtime_ns
    assert main([str(file), str(out)]) == 0
    assert (out / artefact.MANIFEST).stat().st_mtime_ns == before
    assert "model wine" in capsys.readouterr().out


def test_an_edited_file_or_edited_rows_give_another_artefact(tmp_path: Path) -> None:
    file = tmp_path / "m.joblib"
    file.write_bytes(b"one")
    first = import_digest(file)
    (tmp_path / "m.csv").write_text("a\n1\n")
    second = import_digest(file)
    file.write_bytes(b"two")
    third = import_digest(file)
    assert len({first, second, third}) == 3


async def test_a_joblib_file_is_converted_once_in_a_separate_process(tmp_path: Path) -> None:
    file = saved(tmp_path, "wine", wine())
    settings = Settings(stack={"data_dir": tmp_path / "data"})
    found = await find_model(file, settings)
    assert found.path == tmp_path / "data" / "artefacts" / import_digest(file)
    again = await find_model(file, settings)
    assert again == found


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


def test_a_model_is_converted_before_the_replicas_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = saved(tmp_path, "wine", wine())
    monkeypatch.setenv("TIDEGATE_MODEL__PATH", str(file))
    monkeypatch.setenv("TIDEGATE_STACK__DATA_DIR", str(tmp_path / "data"))
    assert import_cache.main() == 0
    out = tmp_path / "data" / "artefacts" / import_digest(file)
    assert capsys.readouterr().out == f"model wine {artefact.load(out).manifest.version} in {out}\n"


def test_a_shadow_is_converted_before_the_replicas_start_and_may_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = saved(tmp_path, "wine", wine())
    monkeypatch.setenv("TIDEGATE_MODEL__PATH", str(file))
    monkeypatch.setenv("TIDEGATE_STACK__DATA_DIR", str(tmp_path / "data"))
    shadow = tmp_path / "next" / "wine.joblib"
    monkeypatch.setenv("TIDEGATE_MODEL__SHADOW_PATH", str(shadow))
    assert import_cache.main() == 0
    output = capsys.readouterr()
    assert f"there is no model at {shadow}" in output.err
    shadow.parent.mkdir()
    shadow.write_bytes(file.read_bytes() + b"\n")
    assert import_cache.main() == 0
    assert f" in {tmp_path / 'data' / 'artefacts' / import_digest(shadow)}\n" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        ("none.joblib", 1, "there is no model at none.joblib: save it there"),
        ("", 2, "gateway.port"),
    ],
)
def test_a_failed_conversion_prints_its_reason(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    path: str,
    code: int,
    message: str,
) -> None:
    monkeypatch.setenv("TIDEGATE_MODEL__PATH", path)
    monkeypatch.setenv("TIDEGATE_GATEWAY__PORT", "8000" if path else "none")
    assert import_cache.main() == code
    assert message in capsys.readouterr().err
