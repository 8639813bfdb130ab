"""Grafana's dashboards, data sources and settings are valid, and consistent with rules and metrics."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from support import grafana_dashboards
from support.grafana_dashboards import panels, with_headings
from tidegate.observability_files.kibana import data_views
from tidegate.rules.rule_files import alerts
from tidegate.settings import Settings, Slo, load
from tools.generate.checkout import ROOT
from tools.generate.grafana import FOLDER, data_sources, grafana_files, runbooks
from tools.generate.grafana import runbook_text as runbook_text_module
from tools.generate.grafana.dashboard import CONSOLE
from tools.generate.grafana.runbook_text import runbook_names, runbook_url

SETTINGS = load()
COMMITTED = grafana_dashboards.dashboards()
NAMES = ("service", "scaling", "pipeline", "model", "host", "runbooks")


def test_another_alert_changes_no_id_and_no_link(monkeypatch: pytest.MonkeyPatch) -> None:
    urls = {name: runbook_url(name) for name in runbook_names()}
    ids = {panel["title"]: panel["id"] for panel in panels(COMMITTED["runbooks"])}
    first, *others = runbook_names()
    del urls[first], ids[first]
    for module in (runbooks, runbook_text_module):
        monkeypatch.setattr(module, "runbook_names", lambda: tuple(others))
    assert {name: runbook_url(name) for name in others} == urls
    without = json.loads(runbooks.dashboard_json())
    assert {panel["title"]: panel["id"] for panel in panels(without)} == ids


@pytest.mark.parametrize("name", NAMES)
def test_panels_have_unique_ids_and_do_not_overlap(name: str) -> None:
    panels_and_rows = with_headings(COMMITTED[name])
    ids = [panel["id"] for panel in panels_and_rows]
    assert len(set(ids)) == len(ids)
    # grafana/grafana, kinds/dashboard/dashboard_kind.cue: `id` of #Panel and of #RowPanel is a uint32.
    assert all(0 < each < 2**32 for each in ids)
    taken: set[tuple[int, int]] = set()
    for panel in panels_and_rows:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24
        cells = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & taken
        taken |= cells


@pytest.mark.parametrize("name", NAMES)
def test_each_data_source_is_a_variable_with_a_provisioned_default(name: str) -> None:
    provisioned = {source["uid"]: source for source in provisioned_data_sources()}
    variables = {each["name"]: each for each in COMMITTED[name]["templating"]["list"]}
    for variable in variables.values():
        if variable["type"] == "datasource":
            source = provisioned[variable["current"]["value"]]
            assert source["name"] == variable["current"]["text"]
            assert source["type"] == variable["query"]
            pattern = variable.get("regex", "//").strip("/i")
            assert re.search(pattern, source["name"], re.IGNORECASE)
    used = set(re.findall(r'"uid": "\$\{(\w+)\}"', json.dumps(COMMITTED[name])))
    assert used <= set(variables)
    queries = json.dumps([panel.get("targets") for panel in panels(COMMITTED[name])])
    built_in = {"__rate_interval", "__range", "__range_s"}
    assert set(re.findall(r"\$([a-z_]\w*)", queries)) <= set(variables) | built_in


def test_every_alert_is_linked_from_a_panel_and_each_link_opens_its_runbook() -> None:
    pages = {panel["id"]: panel["title"] for panel in panels(COMMITTED["runbooks"])}
    links = [
        link
        for name in NAMES
        for panel in panels(COMMITTED[name])
        for link in panel.get("links", ())
    ]
    for link in links:
        found = re.fullmatch(r"/d/tidegate-runbooks\?viewPanel=panel-(\d+)", link["url"])
        assert found
        assert link["title"] == f"Runbook: {pages[int(found[1])]}"
    linked = {link["title"].removeprefix("Runbook: ") for link in links}
    assert {alert.name for alert in alerts(SETTINGS)} - linked == set()


def test_thresholds_follow_the_objective() -> None:
    def thresholds(settings: Settings, panel: str) -> list[float]:
        made = json.loads(grafana_files(settings)[FOLDER / "service.json"])
        (found,) = (each for each in panels(made) if each["title"] == panel)
        steps = found["fieldConfig"]["defaults"]["thresholds"]["steps"]
        return [step["value"] for step in steps if step["value"] is not None]

    strict = Settings(slo=Slo(latency_seconds=0.2, availability=0.99))
    assert thresholds(SETTINGS, "Response time") == [SETTINGS.slo.latency_seconds]
    assert thresholds(strict, "Response time") == [0.2]
    assert thresholds(strict, "Errors") == pytest.approx([0.01, 0.144])
    assert thresholds(strict, "Burn rate: errors") == pytest.approx([6, 14.4])


def provisioned_data_sources() -> list[dict[str, Any]]:
    return list(yaml.safe_load((ROOT / data_sources.FILE).read_text("utf-8"))["datasources"])


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    return [value] if isinstance(value, str) else []


def test_grafana_expands_only_the_intended_variables_in_the_data_sources() -> None:
    # It expands every text of the file; a literal `$` is written as `$$`.
    singles = {text for text in texts(provisioned_data_sources()) if "$" in text.replace("$$", "")}
    links = {text for text in singles if text.startswith("${KIBANA_PUBLIC_URL}/app/discover#/")}
    assert len(links) == 1
    assert singles - links == {"$__file{/run/secrets/reader}"}
    assert not any(
        "$" in text.replace("$$", "").replace("${KIBANA_PUBLIC_URL}", "") for text in links
    )


def test_links_lead_from_an_exemplar_to_its_trace_and_from_a_log_line_to_its_spans() -> None:
    prometheus, logs, traces = provisioned_data_sources()
    # grafana/grafana, packages/grafana-prometheus/src/result_transformer.ts: the links of all are shown.
    exemplars = prometheus["jsonData"]["exemplarTraceIdDestinations"]
    assert {each["name"] for each in exemplars} == {"trace_id"}
    console, kibana = (each["url"].replace("$$", "$") for each in exemplars)
    assert console == f"{CONSOLE}/traces/${{__value.raw}}"
    assert kibana.startswith("${KIBANA_PUBLIC_URL}/app/discover#/?_g=")
    assert "query:'trace.id:%22${__value.raw}%22'" in kibana
    (view,) = (each for each in data_views(SETTINGS) if f"dataViewId:{each.id}," in kibana)
    assert view.pattern == f"{logs['jsonData']['index']},{traces['jsonData']['index']}"
    for source in (logs, traces):
        links = source["jsonData"]["dataLinks"]
        assert all(
            re.search(link["field"].replace("$$", "$"), "trace.id")
            and not re.search(link["field"].replace("$$", "$"), "trace_id")
            for link in links
        )
        assert {link.get("datasourceUid") for link in links} <= {
            None,
            "elasticsearch-logs",
            "elasticsearch-traces",
        }
        assert [link["url"] for link in links[:2]] == [each["url"] for each in exemplars]
