"""Prometheus' page works in a browser: README, tutorials and runbooks lead there."""

from __future__ import annotations

import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from support.browser import DEADLINE_MS, failures_of
from support.components import unavailable
from support.eventually import eventually
from support.ports import free_port
from tidegate.settings import Settings
from tidegate.stack import prometheus

pytestmark = pytest.mark.integration


@pytest.fixture
def root(folder: Path) -> Iterator[str]:
    """The address of a Prometheus with the stack's configuration."""
    settings = Settings.model_validate({"prometheus": {"port": free_port()}})
    config = prometheus.write_config(settings, folder)
    try:
        command = prometheus.argv(settings, config, folder / "data")
    except prometheus.PrometheusError as error:
        unavailable(str(error))
    root = f"http://127.0.0.1:{settings.prometheus.port}"

    def ready() -> bool:
        try:
            with urllib.request.urlopen(f"{root}/-/ready", timeout=5):
                return True
        except urllib.error.URLError:
            return False

    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        eventually(ready, f"an answer of {root}")
        yield root
    finally:
        process.kill()
        process.wait()


def test_the_page_shows_a_query_the_rules_and_the_targets(root: str, page: Page) -> None:
    failures = failures_of(page)
    page.goto(f"{root}/graph?g0.expr=vector(42)&g0.tab=1")
    expect(page.get_by_text("42", exact=True).first).to_be_visible(timeout=DEADLINE_MS)
    # Version 3 names the pages otherwise.
    for menu, item, text in (
        (None, "Alerts", "GatewayDown"),
        ("Status", re.compile("^Rule"), "service:queue:now"),
        ("Status", re.compile("^Target"), "Unhealthy"),
    ):
        if menu:
            page.get_by_text(menu).first.click()
        page.get_by_text(item).first.click()
        expect(page.get_by_text(text).first).to_be_visible(timeout=DEADLINE_MS)
    assert failures == []
