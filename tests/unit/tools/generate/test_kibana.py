"""Kibana's objects and settings: valid for Kibana, with existing references and fields."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from tidegate.observability_files.kibana import dashboard_path, ndjson
from tidegate.observability_files.paths import observability_folder
from tidegate.settings import Settings
from tidegate.store.elasticsearch.templates import STREAMS
from tidegate.store.fields import Kind, catalogue
from tidegate.store.query import parser
from tidegate.store.query.tree import fields
from tools.generate.checkout import ROOT
from tools.generate.kibana import data_views
from tools.generate.kibana.dashboard import OVERVIEW
from tools.generate.kibana.kibana_files import kibana_files, saved_objects
from tools.generate.kibana.links import CONSOLE, TRACE_COLUMNS, trace_path
from tools.generate.kibana.panels import LAYER, LensPanel, TextPanel
from tools.generate.kibana.searches import searches

SETTINGS = Settings()
OBJECTS = saved_objects(SETTINGS)
VIEWS = {view.id: view for view in data_views.DATA_VIEWS}
LENSES = [panel for panel in OVERVIEW.panels if isinstance(panel, LensPanel)]
DASHBOARD = OVERVIEW.saved_object()
NUMBERS = {Kind.LONG, Kind.DOUBLE}
# The types of fields that each operation of Lens accepts.
FIELD_TYPES = {
    "date_histogram": {Kind.DATE},
    "terms": {Kind.KEYWORD, Kind.LONG, Kind.BOOLEAN},
    "percentile": NUMBERS,
    "max": NUMBERS,
}
# Kibana's schemas forbid unknown attributes.
COMMON_ATTRIBUTES = {"title", "description", "kibanaSavedObjectMeta", "timeRestore"}
ATTRIBUTES = {
    "search": {*COMMON_ATTRIBUTES, "columns", "sort", "grid", "hideChart", "isTextBasedQuery"},
    "dashboard": {
        *(*COMMON_ATTRIBUTES, "timeFrom", "timeTo", "refreshInterval", "controlGroupInput"),
        *("panelsJSON", "optionsJSON", "hits", "version"),
    },
}


def columns_of(panel: LensPanel) -> dict[str, Any]:
    attributes = panel.content()["embeddableConfig"]["attributes"]
    layer = attributes["state"]["datasourceStates"]["formBased"]["layers"][LAYER]
    return dict(layer["columns"])


def test_no_two_objects_share_an_id() -> None:
    ids = [each["id"] for each in OBJECTS] + list(VIEWS)
    assert len(set(ids)) == len(ids)
    names = [view.name for view in data_views.DATA_VIEWS]
    assert len(set(names)) == len(names), "Kibana identifies a data view by its name"


@pytest.mark.parametrize("each", OBJECTS, ids=lambda each: str(each["id"]))
def test_an_object_has_a_form_that_kibana_accepts(each: dict[str, Any]) -> None:
    assert set(each["attributes"]) <= ATTRIBUTES[each["type"]]
    assert each["attributes"]["title"]
    assert each["attributes"]["description"]


@pytest.mark.parametrize("each", OBJECTS, ids=lambda each: str(each["id"]))
def test_a_reference_is_to_an_existing_data_view_or_object(each: dict[str, Any]) -> None:
    existing = {("index-pattern", view) for view in VIEWS} | {
        (other["type"], other["id"]) for other in OBJECTS
    }
    names = [reference["name"] for reference in each["references"]]
    assert len(set(names)) == len(names)
    assert {(one["type"], one["id"]) for one in each["references"]} <= existing


@pytest.mark.parametrize("search", searches(SETTINGS), ids=lambda search: search.id)
def test_a_search_refers_to_its_data_view_by_the_name_in_its_source(search: Any) -> None:
    made = search.saved_object()
    source = json.loads(made["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
    (reference,) = made["references"]
    assert source["indexRefName"] == reference["name"]
    assert reference["id"] == search.view.id
    assert source["query"] == {"query": search.query, "language": "lucene"}


def test_each_reference_of_a_panel_is_also_in_the_dashboard() -> None:
    names = {one["name"]: (one["type"], one["id"]) for one in DASHBOARD["references"]}
    expected = {}
    for panel in json.loads(DASHBOARD["attributes"]["panelsJSON"]):
        index = panel["panelIndex"]
        if panel["type"] == "visualization":
            continue
        if panel["type"] == "search":
            expected[f"{index}:{panel['panelRefName']}"] = ("search", "tidegate-errors")
            continue
        for one in panel["embeddableConfig"]["attributes"]["references"]:
            assert one["name"] == f"indexpattern-datasource-layer-{LAYER}"
            expected[f"{index}:{one['name']}"] = (one["type"], one["id"])
    assert names == expected


def test_panels_fill_the_grid_without_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    panels = json.loads(DASHBOARD["attributes"]["panelsJSON"])
    assert len({panel["panelIndex"] for panel in panels}) == len(panels)
    for panel in panels:
        grid = panel["gridData"]
        assert grid["i"] == panel["panelIndex"]
        assert panel["title"] or panel["type"] == "visualization"
        assert grid["x"] + grid["w"] <= 48
        cells = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & taken
        taken |= cells
    assert len(taken) == 48 * max(y + 1 for _, y in taken), "no gaps"


@pytest.mark.parametrize("panel", LENSES, ids=lambda panel: panel.id)
def test_a_lens_panel_draws_each_of_its_columns(panel: LensPanel) -> None:
    attributes = panel.content()["embeddableConfig"]["attributes"]
    layer = attributes["state"]["datasourceStates"]["formBased"]["layers"][LAYER]
    assert layer["columnOrder"] == list(layer["columns"]), "no two columns share an id"
    bucketed = [layer["columns"][name]["isBucketed"] for name in layer["columnOrder"]]
    assert bucketed == sorted(bucketed, reverse=True), "groups come before metrics"
    drawn = attributes["state"]["visualization"]
    text = json.dumps(drawn)
    assert all(f'"{name}"' in text for name in layer["columns"])
    kinds = {"number": "lnsMetric", "table": "lnsDatatable"}
    assert attributes["visualizationType"] == kinds.get(panel.chart, "lnsXY")
    inner = drawn["layers"][0] if "layers" in drawn else drawn
    assert (inner["layerId"], inner["layerType"]) == (LAYER, "data")
    for column in layer["columns"].values():
        by = column.get("params", {}).get("orderBy")
        assert by is None or by["columnId"] in layer["columns"]


@pytest.mark.parametrize("panel", LENSES, ids=lambda panel: panel.id)
def test_a_lens_panel_uses_fields_of_suitable_types(panel: LensPanel) -> None:
    for column in columns_of(panel).values():
        if column["operationType"] == "count":
            assert column["sourceField"] == "___records___"
            continue
        kind = catalogue()[column["sourceField"]].kind
        assert kind in FIELD_TYPES[column["operationType"]]
        if column["operationType"] == "terms":
            assert (column["dataType"] == "number") == (kind in NUMBERS)


def test_every_query_uses_searchable_fields() -> None:
    queries = [each.query for each in searches(SETTINGS)] + [panel.query for panel in LENSES]
    named = {name for query in queries for name in fields(parser.parse(query))}
    assert named <= set(catalogue())
    assert {"event.dataset", "trace.id", "tidegate.alert.name"} <= named


def test_every_column_is_a_searchable_field() -> None:
    shown = {column for search in searches(SETTINGS) for column in search.columns}
    assert shown | set(TRACE_COLUMNS) <= set(catalogue())


def test_slow_requests_are_slower_than_the_objective() -> None:
    (slow,) = (
        each
        for each in searches(Settings.model_validate({"slo": {"latency_seconds": 0.3}}))
        if each.id == "tidegate-slow-requests"
    )
    assert slow.query.endswith("event.duration:>300000000")
    assert "0.3 s" in slow.description


def test_data_views_match_our_streams_and_format_existing_fields() -> None:
    assert VIEWS["tidegate-logs"].pattern == STREAMS["logs"]
    assert VIEWS["tidegate-traces"].pattern == STREAMS["traces"]
    assert VIEWS["tidegate-events"].pattern == ",".join(STREAMS.values())
    assert VIEWS["tidegate-decisions"].pattern == "logs-tidegate.decision-*"
    for request in data_views.data_view_requests(SETTINGS):
        assert request["override"] is True
        assert request["refresh_fields"] is False
        view = request["data_view"]
        assert view["timeFieldName"] == "@timestamp"
        assert view["allowNoIndex"] is True
        for name, form in view["fieldFormats"].items():
            expected = NUMBERS if form["id"] == "duration" else {Kind.KEYWORD}
            assert catalogue()[name].kind in expected


def test_a_trace_id_links_to_its_trace_within_the_retention() -> None:
    settings = Settings.model_validate({"store": {"elasticsearch": {"retention": "36h"}}})
    (request, *_) = data_views.data_view_requests(settings)
    link = request["data_view"]["fieldFormats"]["trace.id"]["params"]
    assert link["urlTemplate"] == trace_path("{{value}}", "tidegate-events", "36h")
    assert link["urlTemplate"].startswith("/app/discover#/?_g=(time:(from:now-36h,to:now))&_a=(")
    assert "query:(language:kuery,query:'trace.id:%22{{value}}%22')" in link["urlTemplate"]


def test_a_text_leads_to_the_console() -> None:
    # elastic/kibana, vis_type_markdown/public/types.ts: MarkdownVisParams.
    (panel,) = (each for each in OVERVIEW.panels if isinstance(each, TextPanel))
    vis = panel.content()["embeddableConfig"]["savedVis"]
    assert (vis["type"], set(vis["params"])) == (
        "markdown",
        {"fontSize", "openLinksInNewTab", "markdown"},
    )
    assert f"]({CONSOLE})" in vis["params"]["markdown"]


def test_the_file_has_a_line_for_each_object() -> None:
    lines = ndjson(OBJECTS).splitlines()
    assert [json.loads(line) for line in lines] == OBJECTS
    assert {path.name for path in kibana_files(SETTINGS)} == {
        "data-views.json",
        "saved-objects.ndjson",
    }


def test_the_documentation_lists_every_search_and_panel() -> None:
    page = (ROOT / "docs/reference/kibana.md").read_text("utf-8")
    for search in searches(SETTINGS):
        query = f"`{search.query}`" if search.query else "*(everything)*"
        assert f"| {search.title} | {query} | {search.view.name} |" in page
    panels = page.partition("| panel |")[2].partition("## ")[0]
    assert all(
        f"{panel['title']}" in panels for panel in json.loads(DASHBOARD["attributes"]["panelsJSON"])
    )
    retention = SETTINGS.store.elasticsearch.retention
    assert f"http://127.0.0.1:5601{trace_path('ID', 'tidegate-events', retention)}\n" in page


def test_kibana_opens_with_our_dashboard_and_reads_secrets_from_variables() -> None:
    settings = yaml.safe_load((observability_folder() / "kibana/kibana.yml").read_text("utf-8"))
    overrides = settings["uiSettings.overrides"]
    assert overrides["defaultRoute"] == dashboard_path(OVERVIEW.id)
    # elastic/kibana, src/platform/plugins/shared/data/server/ui_settings.ts: `from` and `to`, of the type
    # "json": a text, which ui_settings_client_common.ts parses in the browser.
    shown = {"from": DASHBOARD["attributes"]["timeFrom"], "to": DASHBOARD["attributes"]["timeTo"]}
    assert json.loads(overrides["timepicker:timeDefaults"]) == shown
    secret = [value for name, value in settings.items() if "ass" in name or "Key" in name]
    assert len(secret) == 4
    assert all(re.fullmatch(r"\$\{KIBANA_[A-Z_]+\}", value) for value in secret)
