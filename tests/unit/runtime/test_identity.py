"""The identity of a component in its events."""

from __future__ import annotations

import importlib.metadata

import pytest

from tidegate.runtime import identity as module
from tidegate.runtime.identity import event_origin
from tidegate.settings import Settings

SETTINGS = Settings(service={"name": "wine", "environment": "prod", "namespace": "eu"})


def test_it_contains_the_service_and_the_component() -> None:
    found = event_origin(SETTINGS, "exporter")
    assert (found.service, found.environment, found.namespace) == ("wine", "prod", "eu")
    assert found.node == "exporter"
    assert found.version == importlib.metadata.version("tidegate")


def test_the_version_is_unknown_without_an_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(module, "version", missing)
    assert event_origin(SETTINGS, "exporter").version == "unknown"
