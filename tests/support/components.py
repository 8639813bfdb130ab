"""Real components that may be missing on a machine."""

from __future__ import annotations

import os
from typing import Final, NoReturn

import pytest

REQUIRE_ALL: Final = os.environ.get("TIDEGATE_REQUIRE_ALL") == "1"
"""Set in CI: a missing component is a failure, and every test runs."""
NIGHTLY: Final = os.environ.get("TIDEGATE_NIGHTLY") == "1"
"""Set by `make nightly`, which sets the other, too."""
IN_CI: Final = pytest.mark.skipif(
    not REQUIRE_ALL, reason="runs with TIDEGATE_REQUIRE_ALL=1 only, to keep make test short"
)
"""For tests of many seconds whose subject other tests cover, too."""
AT_NIGHT: Final = pytest.mark.skipif(
    not NIGHTLY, reason="runs in make nightly only, to keep CI short"
)
"""For further cases of such tests: another seed, another kind of model."""


def examples(count: int) -> int:
    """How many examples hypothesis tries: all in `make nightly`, elsewhere a third.

    They are the same in each run until the test or hypothesis changes: random ones would fail a change for a
    fault that it did not bring in.
    """
    return count if NIGHTLY else count // 3


def unavailable(what: str) -> NoReturn:
    """Skip, because a component cannot be had; where all are required, fail."""
    if REQUIRE_ALL:
        pytest.fail(what)
    pytest.skip(what)
