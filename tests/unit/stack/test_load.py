"""What the load generator sends to a stack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tidegate.settings import load
from tidegate.stack.load import load_command, request_arguments

BODY = Path("body")
APP: dict[str, Any] = {"service": {"app": "desk.main:app"}}


@pytest.mark.parametrize(
    ("settings", "arguments"),
    [
        ({}, "--rows {folder}/samples.ndjson"),
        ({"verify": {"path": "/quote", "body": "{}"}}, "--rows {folder}/samples.ndjson"),
        ({**APP, "verify": {"path": "/quote"}}, "--method GET --path /quote"),
        ({**APP, "verify": {"path": "/quote", "body": "{}"}}, "--path /quote --body body"),
        ({**APP, "verify": {"body": "{}"}}, "--path / --body body"),
        (APP, "--method GET --path /"),
        ({"replicas": {"command": ["server", "{port}"]}}, "--method GET --path /"),
    ],
)
def test_the_rows_of_the_model_are_sent_or_the_request_of_the_settings(
    tmp_path: Path, settings: dict[str, Any], arguments: str
) -> None:
    (tmp_path / "samples.ndjson").touch()
    stack = load(model={"path": tmp_path}, **settings)
    assert " ".join(request_arguments(stack, BODY)) == arguments.format(folder=tmp_path)


def test_a_model_without_rows_leaves_them_to_the_load_generator(tmp_path: Path) -> None:
    command = load_command(load(model={"path": tmp_path}), "seed")
    assert command == "tidegate loadgen run seed --url http://127.0.0.1:8000"


def test_the_command_writes_the_body_that_it_sends() -> None:
    command = load_command(load(**APP, verify={"path": "/quote", "body": '{"a": 1}'}), "seed")
    assert command.startswith("printf %s '{\"a\": 1}' > body.json && tidegate loadgen run seed ")
    assert command.endswith(" --path /quote --body body.json")
