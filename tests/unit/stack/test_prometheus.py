"""Prometheus in local mode: its program, its files, and its command."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from tidegate.rules.prometheus_config import render_config
from tidegate.rules.rule_files import rule_files
from tidegate.settings import Settings
from tidegate.stack import prometheus


def program(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_path_has_priority_over_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = program(tmp_path / "cache/prometheus", "prometheus")
    tool = program(tmp_path / "cache/prometheus", "promtool")
    monkeypatch.setenv("TIDEGATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert prometheus.prometheus_binary() == cached
    assert prometheus.promtool_binary() == tool
    assert prometheus.prometheus_binary() != (first := program(tmp_path / "bin", "prometheus"))
    assert prometheus.prometheus_binary() == first


def test_without_prometheus_the_error_says_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGATE_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(prometheus.PrometheusError, match="`tidegate setup` installs it"):
        prometheus.prometheus_binary()
    monkeypatch.delenv("TIDEGATE_CACHE")
    assert prometheus.cache_folder() == Path.home() / ".cache/tidegate"


def test_the_rules_follow_the_objective_in_force(tmp_path: Path) -> None:
    settings = Settings.model_validate({"slo": {"latency_seconds": 0.3}})
    stale = tmp_path / "rules" / "removed.yml"
    stale.parent.mkdir()
    stale.write_text("groups: []")
    config = prometheus.write_config(settings, tmp_path)
    assert config == tmp_path / "prometheus.yml"
    assert not stale.exists()
    for name, text in rule_files(settings).items():
        assert (tmp_path / "rules" / name).read_text() == text
        # The recording rules of the model do not depend on the objective.
        assert (text == rule_files(Settings())[name]) == (name == "model.yml")


def test_a_new_configuration_keeps_the_known_targets(tmp_path: Path) -> None:
    prometheus.write_config(Settings(), tmp_path)
    targets = tmp_path / "targets" / "model.json"
    assert json.loads(targets.read_text()) == []
    prometheus.write_targets(tmp_path, {"flights-1": "127.0.0.1:18001"})
    prometheus.write_config(Settings(), tmp_path)
    assert json.loads(targets.read_text()) == [
        {"targets": ["127.0.0.1:18001"], "labels": {"replica": "flights-1"}}
    ]


def test_the_list_of_targets_is_written_atomically(tmp_path: Path) -> None:
    replicas = {f"flights-{number}": f"127.0.0.1:{18000 + number}" for number in range(64)}
    prometheus.write_targets(tmp_path, replicas)
    done = threading.Event()

    def rewrite() -> None:
        for _ in range(200):
            prometheus.write_targets(tmp_path, replicas)
        done.set()

    writer = threading.Thread(target=rewrite)
    writer.start()
    while not done.is_set():
        assert len(json.loads((tmp_path / "targets/model.json").read_text())) == 64
    writer.join()
    assert [path.name for path in (tmp_path / "targets").iterdir()] == ["model.json"]


@pytest.mark.parametrize(
    ("host", "address"), [("127.0.0.1", "127.0.0.1:9090"), ("::1", "[::1]:9090")]
)
def test_prometheus_listens_on_the_address_of_the_settings(
    host: str, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = program(tmp_path, "prometheus")
    monkeypatch.setenv("PATH", str(tmp_path))
    settings = Settings.model_validate({"stack": {"host": host}})
    command = prometheus.argv(settings, Path("c.yml"), Path("data"))
    assert command[:3] == [str(path), "--config.file=c.yml", "--storage.tsdb.path=data"]
    assert f"--web.listen-address={address}" in command
    # Prometheus 2.42 (Debian) has only the flag; 3.x also reads a retention from the configuration.
    assert "--storage.tsdb.retention.time=7d" in command
    assert "retention" not in render_config(settings)
