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
from tidegate.monitoring.counting.reference import BadReferenceError, Reference, load_reference
from tidegate.monitoring.watching.row_encoder import RowEncoder
from tidegate.monitoring.watching.table import read_table
from tidegate.service.artefacts.reference_command import run
from tidegate.service.artefacts.table_files import read_rows
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
    found = table_reference(
        RIDES, Columns("tip", truth="tipped", confidence="probability", features=FEATURES)
    )
    assert found.prediction is not None
    assert found.prediction.bins == ("no", "yes", "other", "missing")
    assert found.accuracy == pytest.approx((RIDES["tip"] == RIDES["tipped"]).mean())
    assert found.calibration is not None
    assert found.calibration.samples == 500


def test_all_other_columns_are_features() -> None:
    found = table_reference(RIDES[["distance", "fare", "paid"]], Columns("fare", truth="paid"))
    assert [feature.name for feature in found.features] == ["distance"]


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
        (pd.DataFrame(), Columns("y"), "there are no rows"),
        (with_column(), Columns("z"), "there is no column z; the columns are x, y"),
        (with_column(), Columns("y", truth="z"), "there is no column z"),
        (with_column(), Columns("y", features=("x", "z")), "there is no column z"),
        (with_column(), Columns("y", features=("x", "y")), "column y is a prediction or a label"),
        (with_column()[["y"]], Columns("y"), "there is no column of a feature"),
        (with_column(z=[None, None]), Columns("y"), "column z has no value: .* --features"),
        (with_column(z=[np.inf, np.inf]), Columns("y"), "column z has no finite number"),
        (with_column(z=[[1], [2]]), Columns("y"), "column z has values of type list, not numbers"),
        (with_column(z=[{}, "a"]), Columns("y"), "column z has values of type dict and str"),
        (
            with_column(z=pd.to_datetime(["2026-01-01", "2026-01-02"])),
            Columns("y"),
            "column z has times, which always drift: use the hour",
        ),
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


def command(folder: Path, file: Path, **options: Any) -> tuple[int, str, Reference | None]:
    """The exit code, what is printed, and the reference."""
    printed = io.StringIO()
    out = folder / "reference.json"
    console = Console(file=printed, width=120)
    code = run(file, out, Columns(**options), console)
    return code, printed.getvalue(), load_reference(out) if out.exists() else None


def test_the_command_writes_the_reference_of_a_csv_file(tmp_path: Path) -> None:
    RIDES.to_csv(tmp_path / "rides.csv", index=False)
    code, text, reference = command(
        tmp_path,
        tmp_path / "rides.csv",
        prediction="fare",
        truth="paid",
        features=FEATURES,
    )
    assert code == 0
    assert reference is not None
    direct = table_reference(RIDES, Columns("fare", truth="paid", features=FEATURES))
    assert reference.features[1:] == direct.features[1:]
    assert "rides.csv: 500 rows" in text
    assert "city      category     3        0      0" in text
    assert "predictions in fare are numbers in 10 bins" in text
    assert "of the true values within" in text
    assert "500 rows are few" in text


def test_the_command_says_how_integers_are_read(tmp_path: Path) -> None:
    RIDES.assign(y=RIDES["night"].astype(int)).to_csv(tmp_path / "rides.csv", index=False)
    code, text, _ = command(tmp_path, tmp_path / "rides.csv", prediction="y")
    assert code == 0
    assert "predictions in y are labels: 0, 1" in text
    assert "use --task regression" in text
    assert "without --truth there is no accuracy" in text


def test_a_parquet_file_is_the_same_as_a_csv_file(tmp_path: Path) -> None:
    RIDES.to_parquet(tmp_path / "rides.parquet")
    columns = Columns("fare", truth="paid", features=FEATURES)
    from_parquet = table_reference(read_rows(tmp_path / "rides.parquet"), columns)
    assert from_parquet == table_reference(RIDES, columns)
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 is not all")
    with pytest.raises(BadReferenceError, match=r"broken\.parquet cannot be read"):
        read_rows(tmp_path / "broken.parquet")


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("rows.xlsx", b"x", {"prediction": "y"}, "rows.xlsx is neither CSV (.csv) nor Parquet"),
        ("rows.csv", b"", {"prediction": "y"}, "rows.csv: there are no rows"),
        ("rows.csv", b"x,y\n", {"prediction": "y"}, "rows.csv: there are no rows"),
        ("rows.csv", b"x,y\n1,2,3,4\n1\n", {"prediction": "z"}, "rows.csv: there is no column z"),
        ("rows.csv", b"x,y\n\xff,1\n", {"prediction": "y"}, "rows.csv cannot be read: 'utf-8'"),
        ("rows.csv", b"x\n1\n", {"prediction": "y", "task": "ranking"}, "--task should be"),
        ("none.csv", None, {"prediction": "y"}, "none.csv does not exist"),
    ],
)
def test_an_invalid_file_is_one_sentence(
    tmp_path: Path,
    *,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: bytes | None,
    options: dict[str, Any],
    message: str,
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    code, text, reference = command(tmp_path, tmp_path / name, **options)
    error = capsys.readouterr().err
    assert (code, text, reference) == (2, "", None)
    assert message in error
    assert error.count("\n") == 1


def test_a_folder_that_does_not_exist_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    RIDES.to_csv(tmp_path / "rides.csv", index=False)
    out = tmp_path / "no" / "r.json"
    assert run(tmp_path / "rides.csv", out, Columns("fare"), Console(file=io.StringIO())) == 2
    assert capsys.readouterr().err.count("\n") == 1
