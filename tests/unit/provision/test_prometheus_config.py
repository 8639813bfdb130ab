"""`tidegate setup config`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from tidegate.cli import app
from tidegate.provision.errors import ProvisionError
from tidegate.provision.prometheus_config import parse_targets, set_up, write_config
from tidegate.settings import Settings, load


def test_the_configuration_for_compose(tmp_path: Path) -> None:
    settings = load(
        replicas={"first_port": 8000},
        slo={"latency_seconds": 0.25},
        prometheus={"retention": "3d"},
    )
    write_config(settings, tmp_path)
    config = yaml.safe_load((tmp_path / "prometheus" / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    assert jobs["model"]["dns_sd_configs"][0] == {
        "names": ["model"],
        "type": "A",
        "port": 8000,
        "refresh_interval": "2s",
    }
    assert {
        name: job["static_configs"][0]["targets"] for name, job in jobs.items() if name != "model"
    } == {
        "gateway": ["gateway:8405"],
        "collector": ["collector:9101"],
        "autoscaler": ["autoscaler:9102"],
        "watch": ["watch:9105"],
        "exporter": ["exporter:9104"],
        "resizer": ["resizer:9103"],
        "alertmanager": ["alertmanager:9093"],
        "prometheus": ["127.0.0.1:9090"],
    }
    assert config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] == [
        "alertmanager:9093"
    ]
    assert config["storage"]["tsdb"] == {"retention": {"time": "3d", "size": "2GB"}}
    # The rules depend on the settings.
    assert r'le=~"0\\.25' in (tmp_path / "prometheus" / "rules" / "service.yml").read_text()


def test_in_kubernetes_each_job_is_discovered_by_its_dns_name(tmp_path: Path) -> None:
    targets = ["model=replicas.models", "gateway=gateway-pods.models", "exporter=monitor.models"]
    set_up(Settings(), tmp_path, targets, lambda _: None, ipv6=True)
    config = yaml.safe_load((tmp_path / "prometheus" / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    assert {
        name: (one["dns_sd_configs"][0]["names"], one["dns_sd_configs"][0]["port"])
        for name, one in jobs.items()
        if "dns_sd_configs" in one
    } == {
        "model": (["replicas.models"], 18001),
        "gateway": (["gateway-pods.models"], 8405),
        "exporter": (["monitor.models"], 9104),
    }
    assert {one["dns_sd_configs"][0]["type"] for n, one in jobs.items() if n != "prometheus"} == {
        "AAAA"
    }
    # Components without a name do not run.
    assert jobs.keys() == {"model", "gateway", "exporter", "prometheus"}


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (
            ["modl=a"],
            "--target modl=a: must be JOB=NAME, where JOB is one of model, gateway, collector,",
        ),
        (["model"], "--target model: must be JOB=NAME"),
        (["model="], "--target model=: must be JOB=NAME"),
        (["model=a", "model=b"], "--target model=b: model has the name a already"),
        (["gateway=a"], "--target: the name of model is missing, such as model=replicas"),
    ],
)
def test_a_wrong_target_is_reported(targets: list[str], message: str) -> None:
    with pytest.raises(ProvisionError, match=f"^{message}"):
        parse_targets(targets)


def test_old_rule_files_are_removed(tmp_path: Path) -> None:
    write_config(Settings(), tmp_path)
    (tmp_path / "prometheus" / "rules" / "old.yml").write_text("groups: []")
    write_config(Settings(), tmp_path)
    assert not (tmp_path / "prometheus" / "rules" / "old.yml").exists()


def test_the_command_prints_what_it_writes_and_why_it_cannot(tmp_path: Path) -> None:
    command = ["setup", "config", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, command)
    assert (done.exit_code, done.stdout.split(": ")[0]) == (
        0,
        f"{tmp_path}/prometheus/prometheus.yml",
    )
    shutil.rmtree(tmp_path / "prometheus")
    (tmp_path / "prometheus").write_text("in the way")
    done = CliRunner().invoke(app, command)
    assert (done.exit_code, done.stderr) == (2, f"{tmp_path} cannot be written: Not a directory\n")


def test_a_folder_that_prometheus_would_take_as_a_pattern_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "a[b-a]"
    with pytest.raises(ProvisionError, match=r"takes the folder .* with \[ in its path"):
        write_config(Settings(), folder)
    assert not folder.exists()
