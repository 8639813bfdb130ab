"""Kibana's objects and settings: valid for Kibana, with existing references and fields, by the settings."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from support.checkout import ROOT
from support.panels.kibana_dashboards import dashboards
from tidegate.observability_files import kibana
from tidegate.observability_files.paths import observability_folder
from tidegate.settings import Settings
from tidegate.store.elasticsearch.templates import STREAMS
from tidegate.store.fields import Kind, catalogue
from tidegate.store.query import parser
from tidegate.store.query.tree import fields

SETTINGS = Settings()
OBJECTS = {each["id"]: each for each in kibana.saved_objects(SETTINGS)}
VIEWS = {view.id: view for view in kibana.data_views(SETTINGS)}
(DASHBOARD,) = dashboards(SETTINGS)
PAGE = (ROOT / "docs/reference/kibana.md").read_text("utf-8")
NUMBERS = {Kind.LONG, Kind.DOUBLE}
# The types of fields that each operation of Lens accepts.
FIELD_TYPES = {
    "date_histogram": {Kind.DATE},
    "terms": {Kind.KEYWORD, Kind.LONG, Kind.BOOLEAN},
    "percentile": NUMBERS,
    "max": NUMBERS,
}


@pytest.mark.parametrize("each", OBJECTS.values(), ids=OBJECTS)
def test_an_object_refers_to_what_exists(each: dict[str, Any]) -> None:
    # Kibana rejects what it does not know, such as what an export adds.
    assert each.keys() <= {
        *("type", "id", "attributes", "references"),
        *("coreMigrationVersion", "typeMigrationVersion"),
    }
    existing = {("index-pattern", view) for view in VIEWS} | {
        (other["type"], other["id"]) for other in OBJECTS.values()
    }
    assert {(one["type"], one["id"]) for one in each["references"]} <= existing


def test_every_query_and_every_column_uses_searchable_fields() -> None:
    searches = kibana.saved_searches(SETTINGS)
    queries = [*(one.query for one in searches), *(one.query for one in DASHBOARD.panels)]
    named = {name for query in queries for name in fields(parser.parse(query))}
    shown = {name for one in searches for name in OBJECTS[one.id]["attributes"]["columns"]}
    assert named | shown <= catalogue().keys()


@pytest.mark.parametrize("panel", DASHBOARD.panels, ids=lambda panel: panel.title)
def test_a_panel_is_documented_and_uses_fields_of_suitable_types(panel: Any) -> None:
    assert panel.title in PAGE.partition("| panel |")[2].partition("## ")[0]
    for column in panel.columns.values():
        if column["operationType"] != "count":
            kind = catalogue()[column["sourceField"]].kind
            assert kind in FIELD_TYPES[column["operationType"]]


@pytest.mark.parametrize("search", kibana.saved_searches(SETTINGS), ids=lambda one: one.id)
def test_a_search_is_documented(search: kibana.SavedSearch) -> None:
    query = f"`{search.query}`" if search.query else "*(everything)*"
    assert f"| {search.title} | {query} | {search.view.name} |" in PAGE


def test_a_person_can_choose_the_service_of_the_dashboard_and_sees_that_of_each_event() -> None:
    found = OBJECTS[DASHBOARD.id]
    controls = json.loads(found["attributes"]["controlGroupInput"]["panelsJSON"])
    named = {one["explicitInput"]["fieldName"]: name for name, one in controls.items()}
    assert named.keys() == {"service.name", "data_stream.namespace"}
    views = {one["name"]: one["id"] for one in found["references"]}
    for field, name in named.items():
        assert controls[name]["explicitInput"]["id"] == name
        assert views[f"controlGroup_{name}:optionsListDataView"] in VIEWS
        assert catalogue()[field].kind == Kind.KEYWORD
    for search in kibana.saved_searches(SETTINGS):
        shown = OBJECTS[search.id]["attributes"]["columns"]
        assert "service.name" in shown or search.id == "tidegate-one-trace"


@pytest.mark.parametrize(
    ("slo", "query", "shown"),
    [
        ({"latency_seconds": 0.035}, "event.duration:>35000000", "objective, 0.035 s."),
        (
            {"latency_seconds": 120, "until": "first_byte"},
            "tidegate.first_byte_ns:>120000000000",
            "objective, 120 s.",
        ),
    ],
)
def test_slow_requests_are_slower_than_the_objective(
    slo: dict[str, Any], query: str, shown: str
) -> None:
    settings = Settings.model_validate({"slo": slo})
    (slow,) = (one for one in kibana.saved_searches(settings) if one.id == kibana.SLOW_REQUESTS)
    assert slow.query == f"event.dataset:tidegate.request AND {query}"
    (made,) = (one for one in kibana.saved_objects(settings) if one["id"] == slow.id)
    assert made["attributes"]["description"].endswith(shown)


def test_data_views_match_our_streams_and_format_existing_fields() -> None:
    assert {name: view.pattern for name, view in VIEWS.items()} == {
        "tidegate-logs": STREAMS["logs"],
        "tidegate-traces": STREAMS["traces"],
        "tidegate-decisions": "logs-tidegate.decision-*",
        "tidegate-events": ",".join(STREAMS.values()),
    }
    assert kibana.DEFAULT_DATA_VIEW in VIEWS
    for request in kibana.data_view_requests(SETTINGS):
        for name, form in request["data_view"]["fieldFormats"].items():
            expected = NUMBERS if form["id"] == "duration" else {Kind.KEYWORD}
            assert catalogue()[name].kind in expected


def test_a_trace_id_links_to_its_trace_within_the_retention() -> None:
    settings = Settings.model_validate({"store": {"elasticsearch": {"retention": "36h"}}})
    path = kibana.trace_path(settings, "ID")
    assert path == kibana.trace_path(SETTINGS, "ID").replace("now-7d", "now-36h")
    assert f"http://127.0.0.1:5601{kibana.trace_path(SETTINGS, 'ID')}\n" in PAGE
    for each in kibana.data_view_requests(settings):
        link = each["data_view"]["fieldFormats"]["trace.id"]["params"]["urlTemplate"]
        assert link.replace("{{value}}", "ID") == path


def test_kibana_opens_with_our_dashboard_and_reads_secrets_from_variables() -> None:
    settings = yaml.safe_load((observability_folder() / "kibana/kibana.yml").read_text("utf-8"))
    overrides = settings["uiSettings.overrides"]
    assert overrides["defaultRoute"] == kibana.dashboard_path(DASHBOARD.id)
    # elastic/kibana, src/platform/plugins/shared/data/server/ui_settings.ts: `from` and `to`, of the type
    # "json": a text, which ui_settings_client_common.ts parses in the browser.
    assert json.loads(overrides["timepicker:timeDefaults"]) == {
        "from": DASHBOARD.since,
        "to": "now",
    }
    secret = [value for name, value in settings.items() if "ass" in name or "Key" in name]
    assert len(secret) == 4
    assert all(re.fullmatch(r"\$\{KIBANA_[A-Z_]+\}", value) for value in secret)
