"""A namespace of its own for each test, and the definitions that the chart's objects need."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from support.kubernetes.client import Kubectl
from support.kubernetes.control_plane import ControlPlane
from support.kubernetes.model_deployment import ModelDeployment
from support.kubernetes.programs import CACHE, skip_unless_built

DEFINITIONS: Final = CACHE / "definitions"
# Of KEDA and of the Prometheus Operator.
DEFINED: Final = {
    "scaledobjects": DEFINITIONS / "keda/keda.sh_scaledobjects.yaml",
    "podmonitors": DEFINITIONS / "prometheus-operator/monitoring.coreos.com_podmonitors.yaml",
    "prometheusrules": DEFINITIONS
    / "prometheus-operator/monitoring.coreos.com_prometheusrules.yaml",
}


@pytest.fixture
def model(control_plane: ControlPlane, tmp_path: Path) -> Iterator[ModelDeployment]:
    """A namespace of its own; the test creates the Deployment."""
    namespace = f"test-{secrets.token_hex(4)}"
    control_plane.kubectl().run("create", "namespace", namespace)
    control_plane.wait_for_namespace(namespace)
    yield ModelDeployment(control_plane, namespace, tmp_path)
    control_plane.kubectl().run("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="session")
def definitions() -> dict[str, Path]:
    """Files of the definitions that the chart's objects need."""
    if not DEFINITIONS.exists():
        pytest.skip(f"{DEFINITIONS} is missing: run `scripts/kubernetes tools`")
    return DEFINED


@pytest.fixture(scope="session")
def defined(control_plane: ControlPlane, definitions: dict[str, Path]) -> Kubectl:
    """A cluster that has these definitions, and helm."""
    skip_unless_built("helm")
    kubectl = control_plane.kubectl()
    kubectl.define(*definitions.values())
    return kubectl
