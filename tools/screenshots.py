"""Takes pictures for the documentation from the real thing: `make screenshots ARGS="demo monitor-report"`.

Without names it takes all. That of the console needs a stack under load; the others start what they need.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from playwright.sync_api import Page, sync_playwright
from rich.text import Text

from tidegate.settings import load
from tidegate.stack.supervisor.programs import console_url
from tidegate.terminal_console import Console

IMAGES: Final = Path(__file__).parents[1] / "docs" / "img"
REPORT: Final = Path("runs/drift-report.html")
COLUMNS: Final = 110
FLAGS: Final = ("--no-sandbox", "--disable-gpu", "--no-first-run")


def _console(page: Page, image: Path) -> None:
    address = console_url(load())
    if not address:
        raise SystemExit("screenshots: no console is set up (console.enabled, console.token_file)")
    page.set_viewport_size({"width": 1360, "height": 1000})
    page.goto(f"{address}/?range=5m")
    page.locator(".u-wrap canvas").first.wait_for()
    page.screenshot(path=image)


def _demo(page: Page, image: Path) -> None:
    # In colours, but without moves of the cursor: of the live view the last state alone is printed.
    terminal = {"FORCE_COLOR": "1", "TTY_INTERACTIVE": "0", "COLUMNS": str(COLUMNS)}
    lines = _tidegate("demo", **terminal).splitlines()
    first = next(at for at, line in enumerate(lines) if "The load" in line)
    with Path(os.devnull).open("w") as nowhere:
        terminal_window = Console(record=True, width=COLUMNS, file=nowhere)
        terminal_window.print(Text.from_ansi("\n".join(lines[first:])))
    page.set_content(terminal_window.export_svg(title="make demo"))
    page.locator("svg").screenshot(path=image)


def _monitor_report(page: Page, image: Path) -> None:
    _tidegate("demo-drift", "--out", str(REPORT))
    page.set_viewport_size({"width": 1120, "height": 1830})
    page.goto(REPORT.absolute().as_uri())
    page.screenshot(path=image)


def _tune(_: Page, image: Path) -> None:
    options = ("--trace", "flights", "--service-time", "0.15", "--startup", "30")
    _tidegate("tune", *options, "--plot", str(image), TIDEGATE_REPLICAS__MAX="12")


def _tidegate(*command: str, **environment: str) -> str:
    """Run a command of Tidegate. Returns what it prints."""
    print(f"tidegate {' '.join(command)}", flush=True)
    run = [sys.executable, "-m", "tidegate", *command]
    done = subprocess.run(
        run, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"screenshots: exit code {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


PICTURES: Final[dict[str, Callable[[Page, Path], None]]] = {
    "console-overview": _console,
    "demo": _demo,
    "monitor-report": _monitor_report,
    "tune": _tune,
}


def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PICTURES)}")
    names = parser.parse_args().names or list(PICTURES)
    if unknown := set(names) - set(PICTURES):
        parser.error(f"no picture {', '.join(sorted(unknown))}: there are {', '.join(PICTURES)}")
    chromium = shutil.which("chromium")
    if not chromium:
        raise SystemExit("screenshots: there is no chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for name in names:
            PICTURES[name](browser.new_page(), IMAGES / f"{name}.png")
            print(f"docs/img/{name}.png", flush=True)
        browser.close()


if __name__ == "__main__":
    main()
