"""The tests of a monitored model run on the embedded store, and in CI on Elasticsearch, too.

The contract tests of the store and the main job run on both everywhere.
"""

from __future__ import annotations

import pytest

from support.components import IN_CI


@pytest.fixture(scope="module", params=["embedded", pytest.param("elasticsearch", marks=IN_CI)])
def store_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)
