"""The committed saved objects of Kibana, adapted to the settings."""

from __future__ import annotations

import pytest

from tidegate.observability_files import kibana
from tidegate.settings import Settings
from tools.generate.kibana import data_views, kibana_files, searches

SETTINGS = (
    Settings(),
    Settings.model_validate(
        {
            "slo": {"latency_seconds": 0.035},
            "store": {"elasticsearch": {"retention": "30d"}},
        }
    ),
    Settings.model_validate({"slo": {"latency_seconds": 120, "until": "first_byte"}}),
)


@pytest.mark.parametrize("settings", SETTINGS)
def test_they_equal_what_the_generator_writes_for_the_settings(settings: Settings) -> None:
    assert kibana.saved_objects(settings) == kibana_files.saved_objects(settings)
    assert kibana.data_view_requests(settings) == data_views.data_view_requests(settings)


def test_each_saved_search_has_its_data_view_and_query() -> None:
    settings = Settings()
    found = [(one.id, one.title, one.view, one.query) for one in kibana.saved_searches(settings)]
    assert found == [
        (one.id, one.title, one.view, one.query) for one in searches.searches(settings)
    ]
    assert kibana.data_views(settings) == list(data_views.DATA_VIEWS)
    assert kibana.DEFAULT_DATA_VIEW in {view.id for view in data_views.DATA_VIEWS}
