"""Prometheus' page opens: README, tutorials and runbooks lead there."""

from __future__ import annotations

import re
import subprocess
import urllib.error
import urllib.request
from html import unescape
from pathlib import Path
from urllib.parse import urljoin

import pytest

from support.components import unavailable
from support.ports import free_port
from support.processes.running_stack import eventually
from tidegate.settings import Settings
from tidegate.stack import prometheus

pytestmark = pytest.mark.integration


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, ""
    except urllib.error.URLError:
        return 0, ""


def test_the_page_opens_with_every_script_style_and_page_that_it_names(folder: Path) -> None:
    settings = Settings.model_validate({"prometheus": {"port": free_port()}})
    config = prometheus.write_config(settings, folder)
    try:
        command = prometheus.argv(settings, config, folder / "data")
    except prometheus.PrometheusError as error:
        unavailable(str(error))
    root = f"http://127.0.0.1:{settings.prometheus.port}/"
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: get(f"{root}-/ready")[0] == 200, f"an answer of {root}")
        opened, unopened = set[str](), {root, urljoin(root, "graph")}
        while unopened:
            opened.add(url := unopened.pop())
            status, text = get(url)
            assert (url, status) == (url, 200)
            if "<html" in text:  # what each page of the menu names, too
                named = re.findall(r"<(?:a|link|script)\b[^>]*(?:href|src)=\"(/[^\"]*)\"", text)
                assert named
                unopened |= {urljoin(root, unescape(each)) for each in named} - opened
        assert len(opened) > 2
    finally:
        process.kill()
        process.wait()
