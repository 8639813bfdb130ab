"""The reference of a person's own rows, CSV or Parquet, and what is refused in one sentence."""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.monitoring.counting.bin_counter import BinCounter
from tidegate.monitoring.counting.reference import BadReferenceError, load_reference
from tidegate.monitoring.watching.row_encoder import RowEncoder
from tidegate.monitoring.watching.table import read_table
from tidegate.service.artefacts.reference_command import read_rows, run
from tidegate.service.artefacts.table_reference import Columns, table_reference
from tidegate.terminal_console import Console

RANDOM = np.random.default_rng(0)
RIDES = pd.DataFrame(
    {
        "distance": RANDOM.gamma(2, 3, 500),
        "city": RANDOM.choice(["Bonn", "Kiel", "Ulm"], 500),
        "night": RANDOM.random(500) < 0.3,
    }
)
RIDES["fare"] = 2 * RIDES["distance"] + 3
RIDES["paid"] = RIDES["fare"] + RANDOM.normal(size=500)
RIDES["tip"] = np.where(RIDES["paid"] > 15, "yes", "no")
RIDES["tipped"] = np.where(RANDOM.random(500) < 0.8, RIDES["tip"], "no")
RIDES["probability"] = RANDOM.uniform(0.5, 1, 500)
FEATURES = ("distance", "city", "night")


def test_a_regressor() -> None:
    found = table_reference(RIDES, Columns("fare", truth="paid", features=FEATURES))
    assert [feature.name for feature in found.features] == list(FEATURES)
    assert [feature.kind for feature in found.features] == ["number", "category", "category"]
    assert found.samples == 500
    assert found.prediction is not None
    assert found.prediction.kind == "number"
    assert found.residuals is not None
    errors = np.abs(RIDES["fare"] - RIDES["paid"])
    assert found.residuals.mean_absolute_error == pytest.approx(errors.mean())
    assert (errors <= found.residuals.half_width).mean() == pytest.approx(0.9, abs=0.01)


def test_a_classifier() -> None:
    rides = RIDES.assign(probability=RIDES["probability"].mask(RIDES.index == 0))
    columns = Columns("tip", truth="tipped", confidence="probability", features=FEATURES)
    found = table_reference(rides, columns)
    assert found.prediction is not None
    assert found.prediction.bins == ("no", "yes", "other", "missing")
    assert found.accuracy == pytest.approx((RIDES["tip"] == RIDES["tipped"]).mean())
    assert found.calibration is not None
    assert found.calibration.samples == 499


@pytest.mark.parametrize(
    ("values", "task", "kind"),
    [
        ([0.5, 1.5], None, "number"),
        ([0, 1], None, "category"),
        (list(range(21)), None, "number"),
        ([0, 1], "regression", "number"),
        ([0.0, 1.0], "classification", "category"),
        ([True, False], None, "category"),
        (["0.5", "x"], None, "category"),
        ([Decimal("0.5"), Decimal("1.5")], None, "number"),
    ],
)
def test_the_task_follows_from_the_predictions(values: list[Any], task: Any, kind: str) -> None:
    table = pd.DataFrame({"x": range(len(values)), "y": values})
    found = table_reference(table, Columns("y", task=task))
    assert found.prediction is not None
    assert found.prediction.kind == kind
    if kind == "category":
        assert found.prediction.bins[:2] in {("0", "1"), ("False", "True"), ("0.5", "x")}


def with_column(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"x": [1.0, 2.0], "y": [1.0, 2.0]}).assign(**columns)


@pytest.mark.parametrize(
    ("table", "columns", "message"),
    [
        (pd.DataFrame({"x": [], "y": []}), Columns("y"), "there are no rows"),
        (with_column(), Columns("z"), "there is no column z; the columns are x, y"),
        (with_column(), Columns("y", features=("x", "z")), "there is no column z"),
        (with_column(), Columns("y", features=("x", "y")), "column y is a prediction or a label"),
        (with_column()[["y"]], Columns("y"), "there is no column of a feature"),
        (with_column(z=[None, None]), Columns("y"), "column z has no finite number: .* --features"),
        (with_column(z=[np.inf, np.inf]), Columns("y"), "column z has no finite number"),
        (with_column(z=[[1], [2]]), Columns("y"), "column z has values of type list, not numbers"),
        (with_column(z=[{}, "a"]), Columns("y"), "column z has values of type dict and str"),
        (with_column(z=pd.to_datetime(["2026-01-01"] * 2)), Columns("y"), "z has values of type Timestamp"),
        (with_column(y=[None, None]), Columns("y"), "column y has no value"),
        (with_column(c=[0.5, 0.5]), Columns("y", confidence="c"), "name their column by --truth"),
        (with_column(t=[1.0, 2.0]), Columns("y", truth="t"), "2 rows have both y and t; at least 10"),
        (with_column(y=["a", "b"]), Columns("y", task="regression"), "column y has a value that is not"),
        (
            pd.concat([with_column(), with_column()[["x"]]], axis="columns"),
            Columns("y"),
            "there are several columns named x",
        ),
        (
            RIDES.assign(probability=2.0),
            Columns("tip", truth="tipped", confidence="probability"),
            "column probability has a number that is not between 0 and 1",
        ),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(table: pd.DataFrame, columns: Columns, message: str) -> None:
    with pytest.raises(BadReferenceError, match=message):
        table_reference(table, columns)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats() | st.none(),
            st.text(max_size=5) | st.none(),
            st.booleans() | st.none(),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_the_rows_of_a_reference_are_counted_as_it_counted_them(
    rows: list[tuple[Any, ...]],
) -> None:
    table = pd.DataFrame(rows, columns=["a", "b", "c"]).assign(y=1.5)
    try:
        reference = table_reference(table, Columns("y"))
    except BadReferenceError:  # a column without a value
        return
    encoder = RowEncoder(reference.features, lambda _: None)
    for same in (table, table.astype(object).to_dict("records")):
        counter = BinCounter(reference.features, encoder.categories)
        counter.add(encoder.encode(read_table(same)))
        counts = [tuple(each.tolist()) for each in counter.counts()]
        assert counts == [feature.counts for feature in reference.features]


def test_the_command_writes_the_reference_and_says_how_integers_are_read(tmp_path: Path) -> None:
    RIDES.assign(y=RIDES["night"].astype(int)).to_csv(tmp_path / "rides.csv", index=False)
    printed, out = io.StringIO(), tmp_path / "reference.json"
    columns = Columns("y", truth="night", features=("distance", "city"))
    assert run(tmp_path / "rides.csv", out, columns, Console(file=printed, width=120)) == 0
    assert load_reference(out) == table_reference(read_rows(tmp_path / "rides.csv"), columns)
    text = printed.getvalue()
    for said in ("rides.csv: 500 rows", "city      category     3        0      0", "labels: 0, 1"):
        assert said in text


def test_a_parquet_file_is_the_same_as_the_table(tmp_path: Path) -> None:
    RIDES.to_parquet(tmp_path / "rides.parquet")
    columns = Columns("fare", truth="paid", features=FEATURES)
    from_parquet = table_reference(read_rows(tmp_path / "rides.parquet"), columns)
    assert from_parquet == table_reference(RIDES, columns)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.xlsx", b"PK\x03\x04\xff", "cannot be read as CSV"),
        ("rows.csv", b"", "cannot be read as CSV"),
        ("rows.csv", b"x,y\n", "there are no rows"),
        ("rows.csv", b"x,z\n1,2\n", "there is no column y"),
        ("ROWS.PARQUET", b"PAR1 is not all", "cannot be read as Parquet"),
        ("none.csv", None, "does not exist"),
        ("rows.csv", b"x,y\n1,0.5\n", "no/reference.json"),
    ],
)
def test_an_invalid_file_is_one_sentence(
    tmp_path: Path,
    *,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: bytes | None,
    message: str,
) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    console = Console(file=io.StringIO())
    assert run(file, tmp_path / "no" / "reference.json", Columns("y"), console) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
    assert name in error or "reference.json" in error
