"""Encoding of instances as a matrix, and errors that name the invalid values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.request_errors import says
from tidegate.monitoring.watching.table import FEW_ROWS
from tidegate.service.model.features import (
    BLOCK_ROWS,
    MAX_DETAILS,
    MAX_ROWS,
    Feature,
    Schema,
    fault_of,
)
from tidegate.service.request_errors import RequestError

CARRIER = Feature(name="carrier", kind="category", categories=("AA", "UA"))
HOUR = Feature(name="hour", kind="integer", minimum=0, maximum=23)
TEMP = Feature(name="temp", minimum=-130, maximum=150, missing=True)
RUNWAY = Feature(name="runway", kind="category", categories=("N", "S"), missing=True)
SCHEMA = Schema([CARRIER, HOUR, TEMP, RUNWAY])
GOOD: dict[str, Any] = {"carrier": "UA", "hour": 5, "temp": 39.5, "runway": "S"}


def faults(instances: object) -> list[tuple[str, str]]:
    """The location and the type of each fault."""
    with pytest.raises(RequestError) as caught:
        SCHEMA.encode(instances)
    assert caught.value.status == 422
    return [(".".join(map(str, d.loc)), d.type) for d in caught.value.details]


def test_categories_are_encoded_by_their_index_and_missing_values_as_nan() -> None:
    matrix = SCHEMA.encode([GOOD, {"carrier": "AA", "hour": 0, "temp": None, "runway": None}])
    assert matrix.dtype == np.float32
    assert matrix.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(matrix, [[1, 5, 39.5, 1], [0, 0, np.nan, np.nan]])


def test_an_optional_value_may_be_absent() -> None:
    matrix = SCHEMA.encode([{"carrier": "UA", "hour": 5}, GOOD])
    np.testing.assert_array_equal(matrix, [[1, 5, np.nan, np.nan], [1, 5, 39.5, 1]])


@pytest.mark.parametrize(
    ("change", "field", "kind"),
    [
        ({"carrier": "ZZ"}, "carrier", "literal_error"),
        ({"carrier": 7}, "carrier", "string_type"),
        ({"carrier": None}, "carrier", "string_type"),
        ({"carrier": ["UA"]}, "carrier", "string_type"),
        ({"hour": "5"}, "hour", "float_type"),
        ({"hour": True}, "hour", "float_type"),
        ({"hour": None}, "hour", "float_type"),
        ({"hour": 5.5}, "hour", "int_from_float"),
        ({"hour": -1}, "hour", "greater_than_equal"),
        ({"hour": 24}, "hour", "less_than_equal"),
        ({"hour": 10**400}, "hour", "finite_number"),
        ({"temp": 1e39}, "temp", "finite_number"),
        ({"temp": math.inf}, "temp", "finite_number"),
        ({"temp": {}}, "temp", "float_type"),
        ({"runway": "X"}, "runway", "literal_error"),
        ({"wind": 3}, "wind", "extra_forbidden"),
    ],
)
def test_the_error_of_an_invalid_value_names_it(
    change: dict[str, Any], field: str, kind: str
) -> None:
    assert faults([GOOD, GOOD | change]) == [(f"body.instances.1.{field}", kind)]


@pytest.mark.parametrize(
    ("instances", "location", "kind"),
    [
        (None, "body.instances", "list_type"),
        ({"carrier": "UA"}, "body.instances", "list_type"),
        ([], "body.instances", "too_short"),
        ([GOOD] * (MAX_ROWS + 1), "body.instances", "too_long"),
        ([GOOD, 3], "body.instances.1", "dict_type"),
        (["carrier"], "body.instances.0", "dict_type"),
        ([{"carrier": "UA"}], "body.instances.0.hour", "missing"),
        ([[1, 5, 39.5, 1]], "body.instances.0", "dict_type"),
    ],
)
def test_the_error_of_an_invalid_list_gives_the_reason(
    instances: object, location: str, kind: str
) -> None:
    assert faults(instances) == [(location, kind)]


def test_the_reported_faults_and_the_names_in_them_are_limited() -> None:
    assert len(faults([GOOD | {"hour": 99}] * 100)) == MAX_DETAILS
    schema = Schema([Feature(name=f"sensor_{number}", missing=True) for number in range(1000)])
    with pytest.raises(RequestError, check=says("sensor_19 and 980 more")):
        schema.encode([{"x": 1}])


def test_a_fault_among_many_rows_is_found_without_validating_each_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    validated: list[object] = []

    def counted(feature: Feature, value: object) -> tuple[str, str] | None:
        validated.append(value)
        return fault_of(feature, value)

    monkeypatch.setattr("tidegate.service.model.features.fault_of", counted)
    rows: list[dict[str, Any]] = [{"x": 1.0} for _ in range(MAX_ROWS)]
    rows[-2]["x"] = "wrong"
    with pytest.raises(RequestError) as caught:
        Schema([Feature(name="x")]).encode(rows)
    (detail,) = caught.value.details
    assert detail.loc == ("body", "instances", MAX_ROWS - 2, "x")
    assert len(validated) <= BLOCK_ROWS


def test_a_single_feature_works() -> None:
    schema = Schema([Feature(name="x")])
    np.testing.assert_array_equal(schema.encode([{"x": 1}, {"x": 2.5}]), [[1], [2.5]])


def test_columns_are_validated_like_instances() -> None:
    matrix = SCHEMA.encode_columns([["UA"], [5], [None], ["N"]], ("inputs",))
    np.testing.assert_array_equal(matrix, [[1, 5, np.nan, 0]])
    with pytest.raises(RequestError, check=says(r"inputs\.0\.hour: Input should be at most 23")):
        SCHEMA.encode_columns([["UA"], [99], [None], ["N"]], ("inputs",))


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(0, 23),
    st.floats(allow_nan=False),
    st.sampled_from(["AA", "UA", "N", "", "zz"]),
    st.lists(st.integers(), max_size=1),
)
instances = st.dictionaries(st.sampled_from(["carrier", "hour", "temp", "runway", "x"]), values)
good = st.fixed_dictionaries(
    {"carrier": st.sampled_from(["AA", "UA"]), "hour": st.integers(0, 23)},
    optional={
        "temp": st.one_of(st.none(), st.floats(-130, 150, width=32)),
        "runway": st.sampled_from(["N", "S", None]),
    },
)


@given(st.lists(st.one_of(instances, good), min_size=1, max_size=4))
def test_the_fast_validation_accepts_exactly_what_the_slow_one_accepts(
    rows: list[dict[str, Any]],
) -> None:
    faultless = not list(SCHEMA._faults(rows, ("body",)))
    many = rows * (FEW_ROWS + 1)
    if faultless:
        few = SCHEMA.encode(rows)
        assert few.shape == (len(rows), 4)
        np.testing.assert_array_equal(SCHEMA.encode(many), np.tile(few, (FEW_ROWS + 1, 1)))
    else:
        assert faults(rows)
        assert faults(many)


@given(st.lists(good, min_size=1, max_size=4))
def test_decoding_is_the_inverse_of_encoding(rows: list[dict[str, Any]]) -> None:
    matrix = SCHEMA.encode(rows)
    again = SCHEMA.encode(SCHEMA.decode(matrix))
    np.testing.assert_array_equal(matrix, again)


@pytest.mark.parametrize("value", [1e20, -1e38, 5e-324, 16777217.0, -0.0])
def test_a_decoded_number_of_any_size_can_be_written_as_json(value: float) -> None:
    schema = Schema([Feature(name="x")], np.float64)
    (row,) = orjson.loads(orjson.dumps(schema.decode(schema.encode([{"x": value}]))))
    assert row["x"] == value
