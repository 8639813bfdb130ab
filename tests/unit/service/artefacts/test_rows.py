"""The CSV file of rows beside a model file, and its column of true values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tidegate.service.artefacts.rows import read_rows
from tidegate.service.artefacts.schema_file import ModelSchema
from tidegate.service.model.artefact import ArtefactError
from tidegate.service.model.features import Feature
from tidegate.service.model.signature import Signature

PRICE = Signature(task="regression", features=(Feature(name="size"),))
LABEL = Signature(features=(Feature(name="size"),), classes=("no", "yes"))


def write(folder: Path, text: str) -> Path:
    file = folder / "rows.csv"
    file.write_text(text)
    return file


@pytest.mark.parametrize("column", ["target", "label"])
def test_the_truth_is_the_column_target_or_label(tmp_path: Path, column: str) -> None:
    file = write(tmp_path, f"{column},size\n1.5,3.1\n,4\n")
    rows = read_rows(file, PRICE, ModelSchema())
    assert rows.truth is not None
    np.testing.assert_array_equal(rows.truth, [1.5, np.nan])
    assert rows.matrix.tolist() == [[3.1], [4.0]], "not rounded to float32"


@pytest.mark.parametrize(
    ("classes", "text"),
    [
        (("no", "yes"), "no,yes,no"),
        ((0, 1), "0,1,0"),
        ((0, 1), "0.0,1.0,0.0"),
        ((0, 1), "False,True,False"),
        ((7, 9), "7,9,7"),
    ],
)
def test_labels_are_found_in_the_forms_that_pandas_writes(
    tmp_path: Path, classes: tuple[str | int, ...], text: str
) -> None:
    lines = "".join(f"1,{label}\n" for label in text.split(","))
    signature = LABEL.model_copy(update={"classes": classes})
    rows = read_rows(write(tmp_path, f"size,label\n{lines}"), signature, ModelSchema())
    assert rows.truth is not None
    assert rows.truth.tolist() == [0.0, 1.0, 0.0]


def test_a_feature_with_the_name_of_a_truth_column_stays_a_feature(tmp_path: Path) -> None:
    signature = Signature(task="regression", features=(Feature(name="target"),))
    rows = read_rows(write(tmp_path, "target\n1\n2\n"), signature, ModelSchema())
    assert rows.truth is None


def test_more_rows_than_a_request_may_have_are_read(tmp_path: Path) -> None:
    lines = "".join(f"{i}\n" for i in range(10_000))
    rows = read_rows(write(tmp_path, f"size\n{lines}"), PRICE, ModelSchema())
    assert rows.matrix[:, 0].tolist() == np.arange(10_000).tolist()
    assert rows.features[0].observed == (0.0, 9999.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size,target\n1,much\n", "'much' in the column target is not a number"),
        (
            "size\n" + "1\n" * 5000 + "big\n",
            r"does not fit the model: 5000\.size: Input should be a number, got 'big'",
        ),
        ('size\n"1\n', "is not a readable CSV file"),
        ("target\n1\n", "has no column size"),
        ("size\n", "has no rows"),
        (
            "size\n" + "1\n" * 5000 + "1e39\n",
            r"does not fit the model: .*904\.size: .*32-bit number.* \(counted from row 4096\)",
        ),
    ],
)
def test_a_mistake_in_the_rows_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ArtefactError, match=message):
        read_rows(write(tmp_path, text), PRICE, ModelSchema())


def test_a_label_that_is_no_class_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"'maybe' in the column label.*classes are no, yes"):
        read_rows(write(tmp_path, "size,label\n1,maybe\n"), LABEL, ModelSchema())
