"""A namespace of its own for each test."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.kubernetes.control_plane import ControlPlane
from support.kubernetes.model_deployment import ModelDeployment


@pytest.fixture
def model(control_plane: ControlPlane, tmp_path: Path) -> Iterator[ModelDeployment]:
    """A namespace of its own; the test creates the Deployment."""
    namespace = f"test-{secrets.token_hex(4)}"
    control_plane.kubectl().run("create", "namespace", namespace)
    control_plane.wait_for_namespace(namespace)
    yield ModelDeployment(control_plane, namespace, tmp_path)
    control_plane.kubectl().run("delete", "namespace", namespace, "--wait=false")
