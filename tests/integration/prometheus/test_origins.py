"""Cross-origin requests to Prometheus."""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.eventually import eventually
from support.ports import free_port
from support.processes.prometheus_release import Release
from tidegate.settings import Settings
from tidegate.stack import prometheus

pytestmark = pytest.mark.integration


ORIGINS = ("https://example.org", "http://localhost:3000", "null")


def test_scripts_of_other_origins_cannot_read_the_api(release: Release, folder: Path) -> None:
    settings = Settings.model_validate({"prometheus": {"port": free_port()}})
    config = prometheus.write_config(settings, folder)
    command = prometheus.argv(settings, config, folder / "data", binary=release.prometheus)
    url = f"http://127.0.0.1:{settings.prometheus.port}/api/v1/status/buildinfo"

    def headers(origin: str) -> Mapping[str, str] | None:
        asked = urllib.request.Request(url, headers={"Origin": origin})
        try:
            with urllib.request.urlopen(asked, timeout=5) as answer:
                return dict(answer.headers)
        except urllib.error.URLError:
            return None

    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: headers("https://example.org"), f"an answer of {url}")
        answered = {origin: headers(origin) for origin in ORIGINS}
    finally:
        process.kill()
        process.wait()
    for origin, found in answered.items():
        assert found is not None
        assert "Access-Control-Allow-Origin" not in found, origin
