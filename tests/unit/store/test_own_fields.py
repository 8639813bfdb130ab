"""Fields that are not in the mapping: how they are encoded, and their bounds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.collector import logstash
from tidegate.events.event import Event, Origin, make_event
from tidegate.store import own_fields as module
from tidegate.store.elasticsearch import store as elasticsearch
from tidegate.store.embedded import index
from tidegate.store.own_fields import (
    MAX_FIELDS,
    MAX_SIZE,
    NAMES,
    LeftOut,
    decoded,
    own_fields,
    rewrite,
)
from tidegate.store.query.tree import Range, Word

NUMBERS = st.floats(allow_nan=False) | st.integers(-(2**53), 2**53)


@given(st.lists(NUMBERS, min_size=2, max_size=5))
def test_encoded_numbers_have_the_order_of_the_numbers(numbers: list[float]) -> None:
    for one, other in itertools.combinations(numbers, 2):
        first, second = (str(module._sortable(number)) for number in (one, other))
        assert (first < second, first == second) == (float(one) < other, float(one) == other)
        assert math.isclose(float(decoded(first)), one, rel_tol=1e-14)


def test_names_types_and_objects_are_kept_apart() -> None:
    found = own_fields(
        {
            "message": "hello",
            "log.level": "info",
            "dns": {"id": 1},
            "tidegate": {
                "city": ["Kyiv", 5, True, None],
                "quote": {"by": "Ann"},
                "model": {"name": "flights", "size": "small"},
                "attributes": {"secret": 1},
                "misfits": {"tidegate.drift": "odd"},
            },
        }
    )
    assert list(found.names) == [
        "dns",
        "dns.id",
        "tidegate",
        "tidegate.city",
        "tidegate.quote",
        "tidegate.quote.by",
        "tidegate.model",
        "tidegate.model.size",
        "tidegate.drift",
    ]
    assert list(found.values) == [
        "dns.id=nbff0000000000000",
        "tidegate.city=sKyiv",
        "tidegate.city=nc014000000000000",
        "tidegate.city=btrue",
        "tidegate.quote.by=sAnn",
        "tidegate.model.size=ssmall",
        "tidegate.drift=sodd",
    ]
    assert found.left_out == 0


def test_number_length_and_depth_are_bounded() -> None:
    many = own_fields({"tidegate": {f"f{number}": 1 for number in range(MAX_FIELDS + 5)}})
    assert (len(many.values), many.left_out) == (MAX_FIELDS, 5)
    long = own_fields({"tidegate": {f"f{number}": "x" * 900 for number in range(40)}})
    assert sum(map(len, [*long.values, *long.names])) <= MAX_SIZE
    assert long.left_out > 0
    deep: dict[str, object] = {"x": 1}
    for _ in range(20):
        deep = {"y": deep}
    assert own_fields({"tidegate": {"deep": deep}}).left_out == 1
    assert own_fields({"tidegate": {"n" * 300: 1}}).left_out == 1


def test_repeated_values_count_once_and_sizes_are_bytes_with_the_names() -> None:
    repeated = own_fields({"tidegate": {"tags_of": ["a"] * 300, "city": "Kyiv"}})
    assert list(repeated.values) == ["tidegate.tags_of=sa", "tidegate.city=sKyiv"]
    assert repeated.left_out == 0
    wide = own_fields({"tidegate": {f"ї{number}" * 10: "ї" * 300 for number in range(40)}})
    texts = [*wide.values, *wide.names]
    assert MAX_SIZE - 2000 < sum(len(text.encode()) for text in texts) <= MAX_SIZE
    assert wide.left_out == 40 - len(wide.values)
    assert own_fields({"tidegate": {"odd": "\ud800"}}).left_out == 0


@pytest.mark.parametrize(
    "encoded",
    [
        index.document,
        elasticsearch._operation,
        logstash._line,
    ],
    ids=["embedded", "elasticsearch", "logstash"],
)
def test_each_sink_reports_values_that_cannot_be_searched(
    encoded: Callable[[Event, LeftOut], object],
) -> None:
    origin = Origin("flights", "1.2.3", "local", "flights-1", "unit")
    reported: list[tuple[str, int]] = []
    for many in (MAX_FIELDS, MAX_FIELDS + 5):
        fields = {"tidegate": {f"f{number}": 1 for number in range(many)}}
        event = make_event(origin, "app", str(many), unix_ns=0, fields=fields)
        encoded(event, lambda event, left_out: reported.append((event["message"], left_out)))
    assert reported == [(str(MAX_FIELDS + 5), 5)]


def test_a_field_exists_between_open_ends() -> None:
    assert rewrite(Range("tidegate.city", None, None, True, True)) == Word(NAMES, "tidegate.city")
