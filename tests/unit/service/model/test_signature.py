"""The signature of a model, whose names differ."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tidegate.service.model.signature import Signature, Target

FEATURES = [{"name": "x"}]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"features": FEATURES, "classes": [1, "1"]}, "two classes have the same name"),
        ({"features": FEATURES * 2, "classes": [0, 1]}, "two features have the same name"),
        ({"task": "clustering", "features": FEATURES}, "Input should be 'classification'"),
    ],
)
def test_an_ambiguous_signature_is_refused_with_the_reason(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        Signature.model_validate(fields)


def test_a_target_has_a_name_by_default() -> None:
    assert Target().name == "value"
