"""Takes the pictures of the console in the documentation: `make screenshots`, with a stack under load."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Final

from playwright.sync_api import sync_playwright

from tidegate.settings import load
from tidegate.stack.supervisor.programs import console_url

IMAGES: Final = Path(__file__).parents[1] / "docs" / "img"
SIZE: Final = {"width": 1360, "height": 1000}
PAGES: Final = {"console-overview": "/?range=5m"}
FLAGS: Final = ("--no-sandbox", "--disable-gpu", "--no-first-run")


def main() -> int:
    """Take them. Returns the exit code."""
    chromium, address = shutil.which("chromium"), console_url(load())
    if not chromium or not address:
        print(
            "screenshots: there is no chromium, or no console (console.enabled, console.token_file)"
        )
        return 1
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": SIZE["width"], "height": SIZE["height"]})
        for name, path in PAGES.items():
            page.goto(address + path)
            page.locator(".u-wrap canvas").first.wait_for()
            page.screenshot(path=IMAGES / f"{name}.png")
            print(f"docs/img/{name}.png")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
