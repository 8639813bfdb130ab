"""What every end-to-end test needs: each kind of store."""

from __future__ import annotations

from typing import Any

import pytest

from support.components import AT_NIGHT
from support.processes.elasticsearch_server import ElasticsearchServer
from support.processes.wheel import Wheel, install


@pytest.fixture(scope="module")
def elasticsearch_url(elasticsearch_server: ElasticsearchServer) -> str:
    """Where a real Elasticsearch is that holds no event and that no other module uses meanwhile: the searches
    of the store know no namespace.
    """
    elasticsearch_server.delete_events()
    return elasticsearch_server.url


@pytest.fixture(scope="module", params=["embedded", pytest.param("elasticsearch", marks=AT_NIGHT)])
def store_kind(request: pytest.FixtureRequest) -> str:
    """By day the contract tests of the store, the dashboards and tests/e2e/compose have Elasticsearch."""
    return str(request.param)


@pytest.fixture(scope="module")
def store_settings(request: pytest.FixtureRequest, store_kind: str) -> dict[str, Any]:
    """The settings of each kind of store; the real Elasticsearch is started when first needed."""
    if store_kind == "embedded":
        return {"kind": "embedded"}
    return {
        "kind": "elasticsearch",
        "elasticsearch": {"url": request.getfixturevalue("elasticsearch_url")},
    }


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Wheel:
    """Tidegate as `pip install` leaves it: no test that uses this one reads the checkout's code."""
    return install(tmp_path_factory.mktemp("wheel"))
