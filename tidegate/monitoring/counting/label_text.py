"""Labels and categories as text, whatever type an application gives them."""

from __future__ import annotations

from typing import Final

import numpy as np

MAX_BYTES: Final = 100
"""Longer labels are cut: they are labels of metrics, and part of prediction ids."""
# Missing values of pandas, which compare to neither true nor false.
_MISSING_TYPES: Final = frozenset({"NAType", "NaTType"})


def label_text(value: object) -> str | None:
    """A string, number, boolean or scalar of numpy as text: 1, 1.0 and "1" are the same label.

    None if it is missing, as None and NaN are.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        text = value
    elif value is None or type(value).__name__ in _MISSING_TYPES:
        return None
    elif isinstance(value, float):
        if value != value:  # noqa: PLR0124 (only NaN differs from itself)
            return None
        text = str(int(value)) if value.is_integer() else repr(value)
    else:
        text = str(value)
    # Half of a surrogate pair is no text that can be encoded.
    return text.encode("utf-8", "replace")[:MAX_BYTES].decode("utf-8", "ignore")
