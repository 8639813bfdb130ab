"""What the response to a refused request says."""

from __future__ import annotations

import re
from collections.abc import Callable

from tidegate.service.request_errors import RequestError


def says(pattern: str) -> Callable[[RequestError], bool]:
    """For `pytest.raises(RequestError, check=…)`: whether the response matches a pattern."""
    return lambda error: re.search(pattern, error.message) is not None
