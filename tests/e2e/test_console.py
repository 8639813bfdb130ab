"""The console's Overview in a real browser, against a stack under load.

Names and roles are checked through the accessibility tree of the browser.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import HttpCredentials, Page, expect

from support.browser import DEADLINE_MS, browser_page, failures_of
from support.checkout import ROOT
from support.eventually import eventually
from support.ports import free_ports
from support.processes.running_stack import Stack, running

pytestmark = pytest.mark.e2e
expect.set_options(timeout=DEADLINE_MS)
# The next update shows the block again.
EMPTY = """() => {
    const block = document.querySelector("[data-block=tiles]");
    block.innerHTML = block.dataset.html = "";
}"""
REASON = re.compile(r"\d → \d: .*requests/s")

SCENARIO = """
name = "console"
description = "Fifteen seconds at 25 requests per second, more than one replica can serve."
arrivals = "even"
weights = { medium = 1, heavy = 1 }
phases = [{ kind = "constant", seconds = 15, rate = 25 }]
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, artefact: Path) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("console")
    (folder / "scenario.toml").write_text(SCENARIO, encoding="utf-8")
    with running(
        folder,
        artefact,
        console={"enabled": True, "control": True},
        device={"simulated": True},
        autoscaler={"tick_seconds": 2},
    ) as stack:
        stack.environment["BROWSER"] = "true"  # the program that opens an address
        load = stack.run(
            *("tidegate.loadgen", "run", str(folder / "scenario.toml"), "--url", stack.url),
            *("--rows", str(artefact / "samples.ndjson"), "--out", str(folder / "runs")),
        )
        # 98 means that requests were sent late, which happens on a busy machine.
        assert load.returncode in {0, 98}, load.stdout + load.stderr
        changes = "event.dataset:tidegate.decision AND tidegate.decision.reason:up"
        eventually(
            lambda: stack.run("tidegate", "search", changes).returncode == 0, "it has scaled up"
        )
        yield stack


def get_status(url: str) -> int:
    """The status of the response; 0 if there is none."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


@pytest.fixture(scope="module")
def address(stack: Stack) -> str:
    return str(stack.status()["console"])


@pytest.fixture
def page() -> Iterator[Page]:
    with browser_page() as page:
        yield page


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
    for policy in ("sloq", "hpa:inflight=0.7", "kpa", "ray-serve"):
        expect(page.get_by_role("rowheader", name=policy)).to_be_visible()
    expect(page.locator("canvas")).to_have_count(3)
    assert failures == []


def test_a_slow_request_leads_to_its_trace_and_names_the_model_that_answered(
    address: str, page: Page, artefact: Path
) -> None:
    page.goto(address)
    version = json.loads((artefact / "manifest.json").read_text("utf-8"))["version"][:12]
    row = page.locator("[data-block=slow] tbody tr").first
    expect(row).to_contain_text(version)
    expect(row.get_by_role("link")).to_have_attribute("href", re.compile("^/traces/[0-9a-f]{32}$"))
    expect(page.locator("[data-block=model]")).to_contain_text(version)


def test_the_drift_of_each_feature_is_one_click_away(address: str, page: Page) -> None:
    failures = failures_of(page)
    page.goto(address)
    page.get_by_role("link", name="Every feature").click()
    picture = page.get_by_role("img", name=re.compile("^temp, fractions at training and now"))
    expect(picture).to_be_visible()
    expect(page.locator(".multiples li", has_text="temp").first).to_contain_text("PSI")
    assert failures == []


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


def test_the_keyboard_alone_reaches_every_control(address: str, page: Page) -> None:
    page.goto(address)
    expect(page.locator(".marks button").first).to_be_attached()
    wanted = page.locator("a, button, summary").count()
    seen = set()
    for _ in range(2 * wanted):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.outerHTML"))
    for name in ("Skip to the content", 'href="?range=1h"', "Table: Errors", 'href="/traces/'):
        assert any(name in one for one in seen), name
    assert any('id="mark-' in one for one in seen)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_telephone_shows_it_without_scrolling_sideways(address: str, scheme: str) -> None:
    with browser_page(viewport={"width": 390, "height": 844}, color_scheme=scheme) as page:
        page.goto(address)
        expect(page.locator("canvas").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_page_of_the_gateway_leads_to_the_console(
    stack: Stack, address: str, page: Page
) -> None:
    assert stack.send("/").body["console"] == address
    page.goto(stack.url)
    assert page.url == f"{address}/"
    opened = stack.run("tidegate", "open")
    assert (opened.returncode, opened.stdout.strip()) == (0, address)


def test_without_a_supervisor_prometheus_tells_what_runs(
    stack: Stack, tmp_path: Path, artefact: Path
) -> None:
    """As in Docker Compose, where it needs a token, too."""
    token, port = tmp_path / "token", free_ports(1)
    token.write_text("sesame-sesame\n", encoding="utf-8")
    variables = {"CONSOLE__PORT": str(port), "CONSOLE__TOKEN_FILE": str(token)}
    environment = stack.environment | {f"TIDEGATE_{name}": one for name, one in variables.items()}
    argv = [*(sys.executable, "-m", "tidegate", "console"), "--prometheus", stack.prometheus]
    login = HttpCredentials(username="anyone", password=token.read_text().strip())
    address = f"http://127.0.0.1:{port}"
    with subprocess.Popen(argv, env=environment, cwd=ROOT) as console:
        try:
            eventually(lambda: get_status(f"{address}/live") == 200, "the console answers")
            assert get_status(address) == 401
            with browser_page(http_credentials=login) as page:
                failures = failures_of(page)
                page.goto(address)
                expect(page.locator("[data-block=state]")).to_have_text("ready")
                for name in ("gateway", "prometheus", "autoscaler", "flights-1"):
                    expect(page.get_by_role("rowheader", name=name, exact=True)).to_be_visible()
                version = json.loads((artefact / "manifest.json").read_text("utf-8"))["version"]
                expect(page.locator("[data-block=model]")).to_contain_text(version[:12])
                expect(page.locator("[data-block=why] li").first).to_contain_text(REASON)
                assert failures == []
        finally:
            console.terminate()
    assert console.returncode == 0


def test_a_person_sets_bounds_and_ends_them(address: str, stack: Stack, page: Page) -> None:
    page.goto(f"{address}/scaling")
    page.get_by_label("at most").fill("3")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("[data-block=override]")).to_contain_text("at most 3")
    page.get_by_role("button", name="Let the policy decide again").click()
    expect(page.locator("[data-block=override]")).to_have_text("")
    assert page.url == f"{address}/scaling"


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
