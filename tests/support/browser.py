"""A real browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from support.components import unavailable

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
DEADLINE_MS = 30_000


@contextmanager
def running_browser() -> Iterator[Browser]:
    """A browser; without Chromium the test is skipped.

    Until it is closed, no asyncio loop can run in this thread.
    """
    chromium = shutil.which("chromium")
    if not chromium:
        unavailable("there is no chromium: scripts/setup chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def new_page(browser: Browser, **options: Any) -> Iterator[Page]:
    """A page that shares nothing with the others of the browser."""
    with browser.new_page(**options) as page:
        page.set_default_timeout(DEADLINE_MS)
        yield page


def failures_of(page: Page) -> list[str]:
    """What goes wrong in the page from now on: exceptions, refusals of its policy, failed requests."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(f"{error}\n{error.stack}"))
    page.on("console", lambda said: found.append(said.text) if said.type == "error" else None)
    page.on(
        "response",
        lambda answer: (
            found.append(f"{answer.url}: {answer.status}") if answer.status >= 400 else None
        ),
    )
    return found
