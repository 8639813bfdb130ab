"""The console's Overview in a real browser, against a stack under load.

Names and roles are checked through the accessibility tree of the browser.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from support.browser import DEADLINE_MS, failures_of, new_page
from support.eventually import eventually
from support.npm import npm_package
from support.processes.load import constant
from support.processes.running_stack import Stack, running
from tidegate.console.app import PAGES

pytestmark = pytest.mark.e2e
expect.set_options(timeout=DEADLINE_MS)
# The next update shows the block again.
EMPTY = """() => {
    const block = document.querySelector("[data-block=tiles]");
    block.innerHTML = block.dataset.html = "";
}"""
SLOWEST = "/traces?sort=slowest"
PATHS = (
    *("/", "/search", "/errors", "/traces", SLOWEST, "/replicas", "/scaling", "/model", "/load"),
    "/runbooks/ServiceLatencyBurnFast",
)
# The first link of a list.
EVENT, TRACE = ("/search", ".events a.open"), (SLOWEST, ".events td a")
# A name of an element that an update, which replaces it, does not change: its place among its siblings.
NAME = """(element) => {
    const names = [];
    for (let at = element; at?.parentElement; at = at.parentElement)
        names.unshift(`${at.localName}:${[...at.parentElement.children].indexOf(at)}`);
    return names.join(" ");
}"""
# In one step, as an update may replace a row that was read by another one.
FOLLOW = """(row) => {
    const link = row.querySelector("a");
    setTimeout(() => link.click());
    return [row.querySelectorAll("td")[2].innerText, link.pathname];
}"""
# What a mouse can use, and is seen: a rectangle of it, and no other state than enabled.
CONTROLS = f"""() => [...document.querySelectorAll(
    "a[href], button, input, select, textarea, summary, [tabindex], [onclick], [role=button]"
)].filter((one) => one.checkVisibility({{ visibilityProperty: true }}) && !one.disabled
    && one.getAttribute("tabindex") !== "-1" && one.type !== "hidden").map({NAME})"""
REASON = re.compile(r"\d → \d: .*requests/s")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, artefact: Path) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("console")
    with running(
        folder,
        artefact,
        console={"enabled": True, "control": True, "runs_dir": str(folder / "runs")},
        device={"simulated": True},
        autoscaler={"tick_seconds": 2},
    ) as stack:
        stack.environment["BROWSER"] = "true"  # the program that opens an address
        # More than one replica can serve.
        rows = ("--rows", str(artefact / "samples.ndjson"))
        with stack.load(folder, *rows, phases=constant(15, 25), works=("medium", "heavy")) as load:
            load.summary()
        changes = "event.dataset:tidegate.decision AND tidegate.decision.reason:up"
        eventually(
            lambda: stack.run("tidegate", "search", changes).returncode == 0, "it has scaled up"
        )
        yield stack


@pytest.fixture(scope="module")
def address(stack: Stack) -> str:
    return str(stack.status()["console"])


def test_the_overview_shows_the_state_and_breaks_no_rule_of_its_policy(
    address: str, page: Page
) -> None:
    failures = failures_of(page)
    page.goto(address)
    expect(page.locator("[data-block=state]")).to_have_text("ready")
    for name in ("Objective", "Requests", "Latency p95", "Errors", "Replicas ready"):
        expect(page.locator("dt", has_text=name).first).to_be_visible()
    expect(page.locator("canvas")).to_have_count(5)
    for name in ("gateway", "prometheus", "autoscaler", "flights-1"):
        expect(page.get_by_role("rowheader", name=name, exact=True)).to_be_visible()
    assert failures == []


def test_why_there_are_this_many_replicas_is_said_on_the_first_page(
    address: str, page: Page
) -> None:
    page.goto(address)
    expect(page.get_by_role("heading", name=re.compile("Why . replica"))).to_be_visible()
    expect(page.locator("[data-block=why] li").first).to_contain_text(REASON)
    mark = page.locator(".marks button").last
    mark.focus()
    expect(page.locator(".sentence")).to_contain_text(REASON)


def test_every_decision_and_what_other_policies_would_have_done_are_shown(
    address: str, page: Page
) -> None:
    failures = failures_of(page)
    page.goto(address)
    page.get_by_role("link", name="Every decision").click()
    expect(page.locator(".log tbody tr", has=page.locator(".pill.warn")).first).to_contain_text(
        REASON
    )
    for policy in ("hpa:inflight=0.7", "kpa", "ray-serve"):
        expect(page.locator(".u-legend")).to_contain_text(policy)
    assert failures == []


def test_why_a_request_was_slow_is_one_click_away(address: str, page: Page, artefact: Path) -> None:
    failures = failures_of(page)
    page.goto(address)
    version = json.loads((artefact / "manifest.json").read_text("utf-8"))["version"][:12]
    row = page.locator("[data-block=slow] tbody tr").first
    expect(row).to_contain_text(version)
    expect(page.locator("[data-block=model]")).to_contain_text(version)
    took, trace = row.evaluate(FOLLOW)
    expect(page).to_have_url(f"{address}{trace}")
    expect(page.get_by_role("heading", name="POST /predict")).to_be_visible()
    expect(page.locator(".sum")).to_contain_text(took.partition(" ")[0][:3])
    # Where the time went: in the queue of the gateway, or in the model.
    names = page.locator("td.name").all_inner_texts()
    for part in ("gateway wait", "model.predict"):
        assert any(part in one for one in names), names
    assert failures == []


def test_a_point_of_a_chart_leads_to_its_trace_and_back(address: str, page: Page) -> None:
    failures = failures_of(page)
    page.goto(address)
    point = page.locator(".points a").first
    trace = point.get_attribute("href")
    point.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="POST /predict")).to_be_visible()
    page.get_by_role("link", name="In the charts").click()
    expect(page.get_by_role("link", name="now", exact=True)).to_be_visible()
    page.locator(f'.points a[href="{trace}"]').focus()  # another one may be over it
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{address}{trace}")
    assert failures == []


def test_the_drift_of_each_feature_is_one_click_away(address: str, page: Page) -> None:
    failures = failures_of(page)
    page.goto(address)
    page.get_by_role("link", name="Every feature").click()
    picture = page.get_by_role("img", name=re.compile("^temp, fractions at training and now"))
    expect(picture).to_be_visible()
    expect(page.locator(".multiples li", has_text="temp").first).to_contain_text("PSI")
    assert failures == []


def test_cpu_and_memory_of_each_replica_are_drawn(address: str, page: Page) -> None:
    failures = failures_of(page)
    page.goto(f"{address}/replicas")
    for title, value in (("CPU of each replica", r"[\d.]+ %"), ("Memory of each", r"\d+ MB")):
        legend = page.locator("figure", has_text=title).locator(".u-legend")
        expect(legend).to_contain_text(re.compile(rf"flights-1 ?{value}"))
    assert failures == []


def test_a_page_of_another_site_leads_here_by_one_more_click(address: str, page: Page) -> None:
    page.goto(address.replace("127.0.0.1", "localhost"))
    page.evaluate(f"location.assign('{address}/search?q=x')")
    expect(page.get_by_text("A page of another site led here")).to_be_visible()
    page.get_by_role("link").click()
    expect(page.get_by_role("combobox", name="Query")).to_have_value("x")


def test_each_canvas_has_a_table_with_the_same_values(address: str, page: Page) -> None:
    page.goto(address)
    expect(page.locator("canvas").first).to_be_visible()
    page.get_by_text("Table: Latency").click()
    table = page.locator("figure", has_text="Table: Latency").get_by_role("table").last
    expect(table.get_by_role("columnheader", name="p95")).to_be_visible()
    expect(table.locator("td", has_text=" ms").first).to_be_visible()


def test_a_source_that_is_away_is_named_and_comes_back_without_a_reload(
    address: str, stack: Stack, page: Page
) -> None:
    page.goto(address)
    banner = page.locator("#banner")
    expect(page.locator("canvas").first).to_be_visible()
    prometheus = next(one for one in stack.status()["components"] if one["id"] == "prometheus")
    os.kill(prometheus["pid"], signal.SIGSTOP)
    try:
        expect(banner).to_contain_text("Prometheus")
        expect(page.get_by_role("rowheader", name="gateway", exact=True)).to_be_visible()
    finally:
        os.kill(prometheus["pid"], signal.SIGCONT)
    expect(banner).to_be_hidden()


@pytest.mark.parametrize("path", [*PATHS, EVENT, TRACE])
def test_the_keyboard_alone_reaches_all_that_a_mouse_does(
    address: str, page: Page, path: str | tuple[str, str]
) -> None:
    if isinstance(path, tuple):
        page.goto(address + path[0])
        path = str(page.locator(path[1]).first.get_attribute("href"))
    page.goto(address + path)
    page.wait_for_function(
        "document.querySelectorAll('canvas').length || !document.body.dataset.live"
    )

    def missed() -> list[set[str]]:
        """The controls that Tab does not reach; nothing if a live update changed the controls meanwhile."""
        wanted: list[str] = page.evaluate(CONTROLS)
        assert len(wanted) > 10
        page.locator("main").focus()
        reached = set()
        for _ in range(2 * len(wanted)):
            page.keyboard.press("Tab")
            reached.add(page.evaluate(f"({NAME})(document.activeElement)"))
        return [set(wanted) - reached] if page.evaluate(CONTROLS) == wanted else []

    assert eventually(missed) == [set()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_telephone_shows_it_without_scrolling_sideways(
    address: str, browser: Browser, scheme: str
) -> None:
    viewport = {"width": 390, "height": 844}
    with new_page(browser, viewport=viewport, color_scheme=scheme) as page:
        page.goto(address)
        expect(page.locator("canvas").first).to_be_visible()
        trace = page.locator("[data-block=slow] a").first.get_attribute("href")
        for path in (*PATHS, trace):
            page.goto(f"{address}{path}")
            expect(page.get_by_role("main")).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation_on_any_page(
    address: str, browser: Browser, scheme: str
) -> None:
    axe = (npm_package("axe-core") / "axe.min.js").read_text("utf-8")
    with new_page(browser, color_scheme=scheme) as page:
        page.goto(address)
        trace = page.locator("[data-block=slow] a").first.get_attribute("href")
        for path in (*(one.PAGE.path for one in PAGES), PATHS[-1], trace):
            page.goto(f"{address}{path}")
            if page.locator("figure[data-chart]").count():
                expect(page.locator("canvas").first).to_be_attached()
            page.evaluate(axe)
            found = page.evaluate("axe.run()")["violations"]
            serious = [one for one in found if one["impact"] in {"serious", "critical"}]
            assert serious == [], path


def test_the_page_of_the_gateway_leads_to_the_console(
    stack: Stack, address: str, page: Page
) -> None:
    assert stack.send("/").body["console"] == address
    page.goto(stack.url)
    assert page.url == f"{address}/"
    opened = stack.run("tidegate", "open")
    assert (opened.returncode, opened.stdout.strip()) == (0, address)


def test_more_tabs_than_a_browser_has_connections_are_all_live(address: str, page: Page) -> None:
    assert page.context.browser
    with page.context.browser.new_context() as context:
        # A driven browser says of each tab that a person sees it.
        tabs = [context.new_page() for _ in range(8)]
        for number, tab in enumerate(tabs):
            tab.goto(f"{address}/?range={('5m', '15m', '1h', '6h')[number % 4]}")
        for _ in range(2):
            for tab in tabs:
                tab.evaluate(EMPTY)
            for tab in tabs:
                expect(tab.locator("[data-block=tiles]")).to_contain_text("Objective")
                expect(tab.locator("canvas")).to_have_count(5)


def test_a_load_test_is_started_watched_stopped_and_compared(
    address: str, stack: Stack, page: Page
) -> None:
    failures = failures_of(page)
    page.goto(address)
    page.get_by_role("link", name="Load", exact=True).click()
    expect(page.locator("[data-block=runs] tbody tr")).to_have_count(1)
    page.get_by_role("combobox", name="Scenario").select_option("seed")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("[data-block=now]")).to_contain_text("planned")
    expect(page.locator("canvas")).to_have_count(3)
    page.get_by_role("button", name="Stop it").click()
    expect(page.locator("[data-block=runs] tbody tr")).to_have_count(2)
    expect(page.locator("[data-block=runs] tbody tr").first).to_contain_text("invalid")
    older = page.locator('select[name="with"]')  # "with" is in a description of a scenario, too
    older.select_option(older.locator("option").all_inner_texts()[-1])
    page.get_by_role("button", name="Compare").click()
    compared = page.locator("[data-block=compared] tbody tr")
    for row, name in ((0, "seed"), (1, "test"), (2, "Change")):
        expect(compared.nth(row)).to_contain_text(name)
    page.get_by_role("link", name="Report").first.click()
    expect(page.get_by_role("heading", name="seed")).to_be_visible()
    expect(page.get_by_role("img").first).to_be_visible()
    assert failures == []
    events = "service.node.name:console AND event.action:load"
    eventually(
        lambda: stack.run("tidegate", "search", events).stdout.count("load test") == 2, events
    )
