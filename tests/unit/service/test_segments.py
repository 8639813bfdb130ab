"""A request's event carries the values of the features that the settings name, and of no other."""

from __future__ import annotations

from typing import Any

import numpy as np

from service.features import Feature
from service.segments import segments_of

from .conftest import Serve

CARRIER = Feature(name="carrier", kind="category", categories=("AA", "UA"), missing=True)
HOUR = Feature(name="hour", kind="integer")


def test_a_number_has_no_segments_and_a_missing_value_none() -> None:
    matrix = np.array([[1, 5], [np.nan, 6]], "f4")
    names = ["hour", "carrier", "unknown"]
    assert segments_of([CARRIER, HOUR], names, matrix) == {"carrier": ["UA", None]}


async def test_an_event_has_no_value_of_a_row_unless_the_settings_name_its_feature(
    serve: Serve, samples: list[dict[str, Any]]
) -> None:
    for named in ((), ("origin", "carrier")):
        async with serve(drift={"segments": named}) as served:
            await served.client.post("/predict", json={"instances": samples[:2]})
            told = served.events()[-1]["tidegate"]
        expected = {name: [row[name] for row in samples[:2]] for name in named}
        assert told.get("segments", {}) == expected
