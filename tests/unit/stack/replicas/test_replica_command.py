"""How a replica is started: the model service, an ASGI application, or a command of the settings."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tidegate.checks.ports import required_ports
from tidegate.settings import Settings
from tidegate.stack.data_folder import Layout
from tidegate.stack.processes.environment import (
    environment,
    with_absolute_paths,
    with_program_name,
)
from tidegate.stack.replicas.release import Release
from tidegate.stack.replicas.replica_command import replica_argv, replica_variables
from tidegate.stack.supervisor.programs import Programs

MODEL = Release(path=Path("/models/wine"), digest="0123456789abcdef")
SLOTS = Path("/data/run/slots")
PYTHON = (sys.executable, "-P", "-m")


def variables(settings: Settings) -> dict[str, str]:
    return replica_variables(settings, 2, MODEL, SLOTS)


def test_without_a_setting_a_replica_is_the_model_service_with_its_artefact() -> None:
    settings = Settings(slots={"max": 4})
    assert replica_argv(settings, 1) == (*(*PYTHON, "tidegate.service", "--port", "18001"),)
    assert variables(settings) == {
        "TIDEGATE_SERVICE__NODE_NAME": "flights-2",
        "PORT": "18002",
        "TIDEGATE_MODEL__PATH": "/models/wine",
        "TIDEGATE_MODEL__DIGEST": "0123456789abcdef",
        "TIDEGATE_SLOTS__FILE": "/data/run/slots",
    }


def test_an_application_is_run_by_tidegate_from_its_folder() -> None:
    service = {
        "name": "shop",
        "app": "shop.main:app",
        "app_dir": "/srv/shop",
        "ready": "shop.main:is_ready",
    }
    settings = Settings(service=service)
    assert replica_argv(settings, 2) == (
        *(*PYTHON, "tidegate.serving", "shop.main:app", "--host", "127.0.0.1", "--port", "18002"),
        *("--app-dir", "/srv/shop", "--ready", "shop.main:is_ready"),
    )
    assert variables(settings) == {"TIDEGATE_SERVICE__NODE_NAME": "shop-2", "PORT": "18002"}


def test_a_command_gets_the_values_of_its_placeholders_and_keeps_its_braces() -> None:
    command = ("serve", "--bind={host}:{port}", "{node_name}", "-w", "{slots}", '{{"a": {port}}}')
    settings = Settings(
        service={"name": "shop"}, replicas={"command": command}, slots={"per_replica": 3}
    )
    assert replica_argv(settings, 2) == (
        *("serve", "--bind=127.0.0.1:18002", "shop-2", "-w", "3", '{"a": 18002}'),
    )
    assert settings.replica_program == " ".join(command)


def test_a_relative_folder_of_an_application_reaches_its_replicas_as_an_absolute_path(
    tmp_path: Path,
) -> None:
    settings = with_absolute_paths(
        Settings(service={"app": "shop:app", "name": "shop"}, replicas={"ready_path": "/healthz"}),
        tmp_path,
    )
    assert settings.service.app_dir == tmp_path
    env = environment(settings, {"PATH": "/bin"}, tmp_path / "empty.toml")
    program = Programs(settings, Layout(tmp_path / "data"), env, tmp_path).replica(2)
    assert env["TIDEGATE_SERVICE__APP_DIR"] == str(tmp_path)
    assert str(tmp_path) in program.command.argv
    assert program.command.env["TIDEGATE_SERVICE__NODE_NAME"] == "shop-2"
    assert program.command.env["PATH"] == "/bin"
    assert program.ready_url == "http://127.0.0.1:18002/healthz"
    assert program.answers_first


def test_metrics_on_a_port_of_their_own_have_one_for_each_replica() -> None:
    command = ("serve", "{port}", "{metrics_port}")
    same = Settings(replicas={"command": command})
    assert replica_argv(same, 2) == ("serve", "18002", "18002")
    own = Settings(replicas={"command": command}, telemetry={"metrics_port": 19001})
    assert replica_argv(own, 2) == ("serve", "18002", "19002")
    assert variables(own)["TIDEGATE_TELEMETRY__METRICS_PORT"] == "19002"
    assert {one.port for one in required_ports(own)} >= {19001, 19001 + own.replicas.max}


@pytest.mark.parametrize(
    ("service", "name"),
    [
        ({"app": "my_shop.main:app"}, "my-shop"),
        ({"app": "_shop:app"}, "shop"),
        ({"app": "shop.main:app", "name": "tea"}, "tea"),
        ({}, "flights"),
    ],
)
def test_the_service_of_an_application_is_named_after_its_module(
    service: dict[str, str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # no settings file
    assert with_program_name(Settings(service=service)).service.name == name
