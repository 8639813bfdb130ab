"""The scripts of the pages: their types, as they have no build step, and what a page says of a silence."""

from __future__ import annotations

import shutil
import subprocess

import orjson
from playwright.sync_api import Page, Route

from support.components import unavailable
from support.npm import npm_package
from tidegate.console.site import FOLDER

OPTIONS = (
    *("--allowJs", "--checkJs", "--noEmit", "--strict"),
    *("--target", "es2023", "--lib", "es2023,dom,dom.iterable"),
    *("--module", "esnext", "--moduleResolution", "bundler"),
)
PAGE = """<div id="banner" hidden></div>
<script type="module">import { follow } from "/static/live.js"; follow("/silent");</script>"""


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
    def answer(route: Route) -> None:
        path = route.request.url.removeprefix("http://127.0.0.1/")
        if path.startswith("static/"):
            route.fulfill(path=FOLDER / path)
        elif not path:
            route.fulfill(body=PAGE, content_type="text/html")

    page.clock.install()
    page.route("**/*", answer)
    with page.expect_request("**/silent"):
        page.goto("http://127.0.0.1/")
    assert not page.locator("#banner").is_visible()
    with page.expect_request("**/silent"):
        page.clock.fast_forward(50_000)
    assert "does not answer" in page.inner_text("#banner")


def test_the_first_update_leaves_what_a_person_has_written(page: Page) -> None:
    field = '<p><input value="30"></p>'
    block = f'<div data-block="now">\n{field}\n</div>'
    update = orjson.dumps({"page": block, "problems": {}}).decode()

    def answer(route: Route) -> None:
        path = route.request.url.removeprefix("http://127.0.0.1/")
        if path.startswith("static/"):
            route.fulfill(path=FOLDER / path)
        elif path:
            route.fulfill(body=f"data: {update}\n\n", content_type="text/event-stream")
        else:
            route.fulfill(body=block, content_type="text/html")

    page.route("**/*", answer)
    page.goto("http://127.0.0.1/")
    page.fill("input", "77")
    page.evaluate(
        "async () => (await import('/static/live.js')).follow('/u', () => { globalThis.shown = 1; })"
    )
    page.wait_for_function("globalThis.shown")
    assert page.input_value("input") == "77"
