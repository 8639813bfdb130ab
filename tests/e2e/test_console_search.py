"""Requests, logs and traces of the console in a real browser, against a stack under load."""

from __future__ import annotations

import os
import re
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from support.browser import DEADLINE_MS, failures_of, new_page
from support.eventually import eventually
from support.processes.load import constant
from support.processes.running_stack import Stack, running

pytestmark = pytest.mark.e2e
expect.set_options(timeout=DEADLINE_MS)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
BAD_BODY = b'{"instances": [{"carrier": "<b>XX</b>"}]}'


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, artefact: Path) -> Iterator[Stack]:
    """A stack under load that has recorded a trace with an error."""
    folder = tmp_path_factory.mktemp("console")
    rows = ("--rows", str(artefact / "samples.ndjson"))
    with (
        running(folder, artefact, console={"enabled": True}) as stack,
        # For longer than the tests take.
        stack.load(folder, *rows, phases=constant(300, 10), works=("light",)),
    ):
        fail(stack)
        for query in (f"trace.id:{TRACE} AND span.kind:server", "event.outcome:success"):
            eventually(lambda query=query: stack.search(query).total, query)  # type: ignore[misc]
        yield stack


def fail(stack: Stack) -> None:
    """Send a request that is refused, and whose spans are recorded."""
    request = urllib.request.Request(f"{stack.url}/predict", data=BAD_BODY)
    request.add_header("Content-Type", "application/json")
    request.add_header("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01")
    with pytest.raises(urllib.error.HTTPError, match="422"):
        urllib.request.urlopen(request, timeout=60)


@pytest.fixture(scope="module")
def address(stack: Stack) -> str:
    return str(stack.status()["console"]).rstrip("/")


def test_a_search_finds_an_event_and_its_drawer_returns_the_focus(address: str, page: Page) -> None:
    failures = failures_of(page)
    page.goto(f"{address}/search")
    field = page.get_by_role("combobox", name="Query")
    field.press_sequentially("http.response.status_c")
    page.get_by_role("option", name="http.response.status_code:").wait_for()
    field.press("ArrowDown")
    field.press("Enter")
    page.get_by_role("option", name="http.response.status_code:422").click()
    field.press("Enter")
    expect(page).to_have_url(re.compile(r"q=http.response.status_code%3A422"))
    row = page.locator(".events tbody tr").first
    expect(row).to_contain_text("422")
    row.get_by_role("link").first.focus()
    page.keyboard.press("Enter")
    drawer = page.get_by_role("dialog", name="Event")
    expect(drawer.get_by_role("rowheader", name="http.response.status_code")).to_be_visible()
    expect(drawer.get_by_role("button", name="Copy as JSON")).to_be_visible()
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(row.get_by_role("link").first).to_be_focused()
    assert failures == []


def test_an_error_leads_to_its_trace_and_back(address: str, page: Page) -> None:
    failures = failures_of(page)
    page.goto(f"{address}/search?q=trace.id:{TRACE} AND error.type:* AND data_stream.type:logs")
    page.locator(".events tbody tr").first.get_by_role("link", name=TRACE[:8]).click()
    expect(page.get_by_role("heading", name="POST /predict", level=1)).to_be_visible()
    spans = page.get_by_role("table", name="Spans, parents before children")
    expect(spans).to_contain_text("gateway wait")
    # The dot on a span is its log line.
    dot = spans.locator("svg a").first
    line = page.locator(str(dot.get_attribute("href")))
    expect(line).to_contain_text("422")
    # By the keyboard: half of it is outside if the line was written at the end of the span.
    dot.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"{TRACE}#line-"))
    page.get_by_role("link", name="Search its lines").click()
    expect(page.locator(".events tbody tr").first).to_contain_text(TRACE[:8])
    assert failures == []


def test_dragging_over_the_histogram_zooms(address: str, page: Page) -> None:
    failures = failures_of(page)
    page.goto(f"{address}/search")
    bars = page.locator("#histogram .u-over")
    expect(bars).to_be_visible()
    box = bars.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.5, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 1, y, steps=4)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"since=20\d\d-.*until=20\d\d-"))
    expect(bars).to_be_visible()
    assert failures == []


def test_a_live_list_shows_new_events(address: str, stack: Stack, page: Page) -> None:
    failures = failures_of(page)
    page.goto(f'{address}/search?live=1&q=tidegate.route:"/predict"')
    first = page.locator(".events a.open").first
    shown = str(first.get_attribute("href"))
    expect(first).not_to_have_attribute("href", shown)
    stack.send("/predict", BAD_BODY)
    expect(page.locator(".events")).to_contain_text("POST /predict 422")
    assert failures == []


def test_a_damaged_store_is_said_until_it_is_repaired(
    address: str, stack: Stack, browser: Browser, page: Page
) -> None:
    page.goto(f"{address}/search?live=1")
    banner, lines = page.locator("#banner"), page.locator(".events tbody tr")
    expect(lines.first).to_be_visible()
    collector = next(one for one in stack.status()["components"] if one["id"] == "collector")
    os.kill(collector["pid"], signal.SIGSTOP)
    try:
        (stack.settings.stack.data_dir / "store" / "format.json").write_text("{")
        expect(banner).to_contain_text("Event store")
        expect(lines.first).to_be_visible()  # what was known last
        with new_page(browser) as other:
            other.goto(f"{address}/search")
            expect(other.get_by_role("alert")).to_contain_text("tidegate doctor")
    finally:
        os.kill(collector["pid"], signal.SIGCONT)
    expect(banner).to_be_hidden()
    page.goto(f"{address}/traces/{TRACE}")
    eventually(lambda: page.reload() and page.locator(".waterfall").count(), "the trace is back")
