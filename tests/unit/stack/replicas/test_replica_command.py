"""How a replica is started: the model service, an ASGI application, or a command of the settings."""

from __future__ import annotations

import sys
from pathlib import Path

from tidegate.settings import Settings
from tidegate.stack.data_folder import Layout
from tidegate.stack.processes.environment import environment, with_absolute_paths
from tidegate.stack.replicas.replica_command import replica_argv, replica_variables
from tidegate.stack.supervisor.programs import Programs

MODEL, SLOTS = Path("/models/wine"), Path("/data/run/slots")
PYTHON = (sys.executable, "-P", "-m")


def variables(settings: Settings) -> dict[str, str]:
    return replica_variables(settings, "shop-2", 18002, MODEL, SLOTS)


def test_without_a_setting_a_replica_is_the_model_service_with_its_artefact() -> None:
    settings = Settings(slots={"max": 4})
    assert replica_argv(settings, "flights-1", 18001) == (
        *(*PYTHON, "tidegate.service", "--port", "18001"),
    )
    assert variables(settings) == {
        "TIDEGATE_SERVICE__NODE_NAME": "shop-2",
        "PORT": "18002",
        "TIDEGATE_MODEL__PATH": "/models/wine",
        "TIDEGATE_SLOTS__FILE": "/data/run/slots",
    }


def test_an_application_is_run_by_tidegate_from_its_folder() -> None:
    service = {"app": "shop.main:app", "app_dir": "/srv/shop", "ready": "shop.main:is_ready"}
    settings = Settings(service=service)
    assert replica_argv(settings, "shop-2", 18002) == (
        *(*PYTHON, "tidegate.serving", "shop.main:app", "--host", "127.0.0.1", "--port", "18002"),
        *("--app-dir", "/srv/shop", "--ready", "shop.main:is_ready"),
    )
    assert variables(settings) == {"TIDEGATE_SERVICE__NODE_NAME": "shop-2", "PORT": "18002"}


def test_a_command_gets_the_values_of_its_placeholders_and_keeps_its_braces() -> None:
    command = ("serve", "--bind={host}:{port}", "{node_name}", "-w", "{slots}", '{{"a": {port}}}')
    settings = Settings(replicas={"command": command}, slots={"per_replica": 3})
    assert replica_argv(settings, "shop-2", 18002) == (
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
