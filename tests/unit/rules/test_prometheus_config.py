"""The Prometheus configuration for given settings."""

from __future__ import annotations

from typing import Any

import yaml

from tidegate.rules.prometheus_config import render_config
from tidegate.settings import Settings


def jobs(text: str) -> dict[str, dict[str, Any]]:
    return {job["job_name"]: job for job in yaml.safe_load(text)["scrape_configs"]}


def test_the_configuration_contains_the_settings() -> None:
    settings = Settings.model_validate(
        {
            "prometheus": {"scrape_seconds": 0.5, "port": 1},
            "gateway": {"metrics_port": 2},
            "collector": {"metrics_port": 3},
            "autoscaler": {"metrics_port": 4},
            "drift": {"watch_port": 5},
        }
    )
    text = render_config(settings)
    assert yaml.safe_load(text)["global"]["scrape_interval"] == "500ms"
    found = jobs(text)
    assert list(found) == ["model", "gateway", "collector", "autoscaler", "watch", "prometheus"]
    addresses = {name: job["static_configs"] for name, job in found.items() if name != "model"}
    assert addresses == {
        "gateway": [{"targets": ["127.0.0.1:2"]}],
        "collector": [{"targets": ["127.0.0.1:3"]}],
        "autoscaler": [{"targets": ["127.0.0.1:4"]}],
        "watch": [{"targets": ["127.0.0.1:5"]}],
        "prometheus": [{"targets": ["127.0.0.1:1"]}],
    }


def test_the_gateway_has_the_times_of_a_program() -> None:
    settings = Settings.model_validate({"replicas": {"command": ["serve", "{port}"]}})
    found = jobs(render_config(settings))["requests"]
    assert found["metrics_path"] == "/metrics/requests"
    assert found["honor_labels"]  # its series are of the job `model`
    assert found["static_configs"] == jobs(render_config(settings))["gateway"]["static_configs"]


def test_components_that_do_not_run_are_not_scraped() -> None:
    settings = Settings.model_validate(
        {"autoscaler": {"enabled": False}, "drift": {"watch": False}}
    )
    assert not {"autoscaler", "watch"} & jobs(render_config(settings)).keys()
