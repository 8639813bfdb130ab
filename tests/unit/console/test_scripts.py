"""The scripts of the pages: their types, as they have no build step, and what a page says of a silence."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

import orjson
import pytest
from playwright.sync_api import Page, Route

from support.components import unavailable
from support.npm import npm_package
from tidegate.console.site import FOLDER

OPTIONS = (
    *("--allowJs", "--checkJs", "--noEmit", "--strict"),
    *("--target", "es2023", "--lib", "es2023,dom,dom.iterable"),
    *("--module", "esnext", "--moduleResolution", "bundler"),
)
ORIGIN = "http://127.0.0.1/"
SILENT = """<div id="banner" hidden></div>
<script type="module">import { follow } from "/static/live.js"; follow("/silent");</script>"""
BARS = {"title": "bars", "bars": True, "series": [["all", "all"], ["bad", "bad"]]}
LINES = {"times": [100, 200, 300], "values": {"all": [5, 10_000, 7], "bad": [0, 1, 0]}}


def chart_of(spec: dict[str, Any], lines: dict[str, Any]) -> str:
    return f"""<body><figure data-chart='{orjson.dumps(spec).decode()}'></figure>
<script src="/static/vendor/uplot/uPlot.iife.min.js"></script>
<link rel="stylesheet" href="/static/vendor/uplot/uPlot.min.css"><script type="module">
import {{ Charts }} from "/static/chart.js";
const [chart] = (globalThis.charts = new Charts(document)).charts;
chart.show({{ lines: {orjson.dumps(lines).decode()} }});
</script>"""


CHART = chart_of(BARS, LINES)


def serve(page: Page, html: str, stream: str = "") -> None:
    """Answer with this page, the scripts, and a stream with this one update."""

    def answer(route: Route) -> None:
        path = route.request.url.removeprefix(ORIGIN).partition("?")[0]
        if path.startswith("static/"):
            route.fulfill(path=FOLDER / path)
        elif path == "stream":
            route.fulfill(body=stream, content_type="text/event-stream")
        elif path != "silent":
            route.fulfill(body=html, content_type="text/html")

    page.route("**/*", answer)


def test_their_types_are_right() -> None:
    node = shutil.which("node") or unavailable("there is no node: install Node.js")
    scripts = sorted((FOLDER / "static").glob("*.js"))
    assert scripts
    compiler = npm_package("typescript") / "bin" / "tsc"
    done = subprocess.run(
        [node, compiler, *OPTIONS, *scripts], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_page_says_that_the_console_is_silent_and_connects_again(page: Page) -> None:
    page.clock.install()
    serve(page, SILENT)
    with page.expect_request("**/silent"):
        page.goto(ORIGIN)
    assert not page.locator("#banner").is_visible()
    with page.expect_request("**/silent"):
        page.clock.fast_forward(50_000)
    assert "does not answer" in page.inner_text("#banner")


def test_the_first_update_leaves_what_a_person_has_written(page: Page) -> None:
    field = '<p><input value="30"></p>'
    block = f'<div data-block="now">\n{field}\n</div>'
    update = orjson.dumps({"page": block, "problems": {}}).decode()
    serve(page, block, f"data: {update}\n\n")
    page.goto(ORIGIN)
    page.fill("input", "77")
    page.evaluate(
        "async () => (await import('/static/live.js'))"
        ".follow('/stream', () => { globalThis.shown = 1; })"
    )
    page.wait_for_function("globalThis.shown")
    assert page.input_value("input") == "77"


def test_one_error_among_thousands_of_events_has_a_bar_and_its_number(page: Page) -> None:
    serve(page, CHART)
    page.goto(ORIGIN)
    page.locator(".u-over").hover()
    _, all_events, errors = page.locator(".u-value").all_inner_texts()
    assert (all_events, errors) == ("10000", "1")
    _, _, drawn = page.evaluate("charts.charts[0].plot.data")
    assert drawn == [0, 200, 0]


def test_a_line_names_its_version_and_one_that_has_ended_says_when_not_its_last_value(
    page: Page,
) -> None:
    spec = {"title": "Accuracy", "unit": "%", "optional": True, "series": [["a", "measured"]]}
    values = {"a m 1": [0.5, 0.6, None, None], "a m 2": [None, None, 0.7, 0.8]}
    serve(page, chart_of(spec, {"times": [60, 120, 180, 240], "values": values}))
    page.goto(ORIGIN)
    labels, shown = (page.locator(f".u-{part}").all_inner_texts() for part in ("label", "value"))
    assert [one.rstrip(": ") for one in labels[1:]] == ["measured: m 1", "measured: m 2"]
    assert re.fullmatch(r"ended \d\d:02:00", shown[1])
    assert shown[2] == "80.0 %"


@pytest.mark.parametrize("ends", ["touchEnd", "touchCancel"])
def test_a_finger_that_drags_over_the_bars_zooms(page: Page, ends: str) -> None:
    serve(page, CHART)
    page.goto(ORIGIN)
    box = page.locator(".u-over").bounding_box()
    assert box is not None
    touch = page.context.new_cdp_session(page)

    def send(kind: str, *shares: float) -> None:
        points = [{"x": box["x"] + box["width"] * share, "y": box["y"] + 20} for share in shares]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    send("touchStart", 0.9)
    for share in (0.7, 0.5, 0.4):
        send("touchMove", share)
    send(ends)
    if ends == "touchEnd":
        page.wait_for_url(re.compile(r"search\?since=1970-01-01T00.*&until=1970"))
    else:
        assert page.evaluate("charts.charts[0].plot.select.width") == 0
        assert page.url == ORIGIN


def test_a_pen_above_the_bars_selects_nothing(page: Page) -> None:
    serve(page, CHART)
    page.goto(ORIGIN)
    page.locator(".u-over").dispatch_event("pointermove", {"pointerType": "pen", "clientX": 200})
    assert page.evaluate("charts.charts[0].plot.select.width") == 0
