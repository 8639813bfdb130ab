"""The chart on a real API server, with the definitions of KEDA and of the Prometheus Operator."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.eventually import eventually
from support.kubernetes.chart import (
    CHART,
    FULL,
    NAMESPACE,
    RELEASE,
    TABLE,
    of_kind,
    pods,
    render,
    with_url,
)
from support.kubernetes.client import Kubectl
from support.kubernetes.control_plane import ControlPlane


@pytest.fixture(scope="module")
def kubectl(control_plane: ControlPlane, defined: Kubectl) -> Iterator[Kubectl]:
    """The cluster with the chart's namespace."""
    defined.run("create", "namespace", NAMESPACE)
    control_plane.wait_for_namespace(NAMESPACE)
    yield defined
    defined.run("delete", "namespace", NAMESPACE, "--wait=false")


def dry_run(kubectl: Kubectl, objects: list[dict[str, Any]]) -> str:
    """What the API server says against the objects; empty if it would take them as they are."""
    text = "\n---\n".join(json.dumps(one) for one in objects)
    done = kubectl.call(
        *("create", "--dry-run=server", "--validate=strict", "-n", NAMESPACE, "-f", "-"), text=text
    )
    return done.stderr if done.returncode else ""


@pytest.mark.parametrize("name", TABLE)
def test_the_server_takes_every_object_strictly(name: str, kubectl: Kubectl) -> None:
    objects = render(TABLE[name])
    if name == "ipv6":  # which this cluster has not
        for service in of_kind(objects, "Service").values():
            assert service["spec"].pop("ipFamilies") == ["IPv6"]
    assert dry_run(kubectl, objects) == ""


@pytest.mark.parametrize(
    ("mode", "account", "allowed", "refused"),
    [
        (
            "resizer",
            "resizer",
            [
                ("patch", f"deployments/{FULL}-model", "scale"),
                ("get", f"deployments/{FULL}-model", ""),
                ("list", "pods", ""),
            ],
            [
                ("patch", f"deployments/{FULL}-gateway", "scale"),
                ("patch", f"deployments/{FULL}-model", ""),
                ("delete", "pods", ""),
                ("get", "secrets", ""),
            ],
        ),
        (
            "keda-external",
            "autoscaler",
            [("get", f"deployments/{FULL}-model", "")],
            [
                ("patch", f"deployments/{FULL}-model", "scale"),
                ("get", f"deployments/{FULL}-gateway", ""),
                ("get", "secrets", ""),
            ],
        ),
        (
            "none",
            "gateway",
            [("list", "endpointslices.discovery.k8s.io", "")],
            [
                ("patch", "endpointslices.discovery.k8s.io", ""),
                ("list", "pods", ""),
                ("get", "secrets", ""),
            ],
        ),
    ],
)
def test_an_account_may_do_what_it_needs_and_no_more(
    mode: str,
    account: str,
    allowed: list[tuple[str, str, str]],
    refused: list[tuple[str, str, str]],
    kubectl: Kubectl,
) -> None:
    rights = of_kind(render(TABLE[mode]), "Role", "RoleBinding")
    roles = [one for one in render(TABLE[mode]) if one["kind"] in {"Role", "RoleBinding"}]
    assert rights
    kubectl.apply(*roles, namespace=NAMESPACE)
    user = f"--as=system:serviceaccount:{NAMESPACE}:{FULL}-{account}"

    def may(verb: str, resource: str, part: str) -> bool:
        words = ("auth", "can-i", verb, resource, "-n", NAMESPACE, user)
        return kubectl.succeeds(*words, *([f"--subresource={part}"] if part else []))

    try:
        eventually(lambda: may(*allowed[0]), f"the right to {allowed[0]}", seconds=30)
        assert [one for one in allowed if not may(*one)] == []
        assert [one for one in refused if may(*one)] == []
    finally:
        kubectl.run("delete", "role,rolebinding", "--all", "-n", NAMESPACE)


@pytest.fixture
def values_file(tmp_path: Path) -> Path:
    file = tmp_path / "values.yaml"
    file.write_text(json.dumps(with_url({"scaling": {"mode": "resizer"}})))
    return file


def test_install_upgrade_rollback_and_uninstall(kubectl: Kubectl, values_file: Path) -> None:
    # Without a node no job ends.
    where = ("--namespace", NAMESPACE, "--no-hooks")
    model = ("deployment", f"{FULL}-model", "-n", NAMESPACE)
    notes = kubectl.helm("install", RELEASE, str(CHART), *where, "--values", str(values_file))
    try:
        assert "Replicas: 1 to 6, scaled by resizer." in notes
        assert f"service/{FULL}-gateway 8000:8000" in notes
        assert kubectl.get(*model)["spec"]["replicas"] == 1
        secret = ("secret", f"{FULL}-secrets", "-n", NAMESPACE)
        before = kubectl.get(*secret)["data"]
        assert all(
            len(base64.b64decode(before[key])) >= 32 for key in ("prediction_key", "resizer_token")
        )

        # What the resizer has set stays, and so do the secrets.
        kubectl.run("scale", *model[:1], model[1], "--replicas=4", "-n", NAMESPACE)
        kubectl.helm(
            *("upgrade", RELEASE, str(CHART), *where, "--values", str(values_file)),
            *("--set", "settings.replicas.max=9"),
        )
        assert kubectl.get(*model)["spec"]["replicas"] == 4
        assert kubectl.get(*secret)["data"] == before
        settings = kubectl.get("configmap", f"{FULL}-settings", "-n", NAMESPACE)
        assert "max = 9" in settings["data"]["tidegate.toml"]

        kubectl.helm("rollback", RELEASE, *where)
        assert kubectl.get(*model)["spec"]["replicas"] == 4
        assert kubectl.get(*secret)["data"] == before
    finally:
        kubectl.helm("uninstall", RELEASE, *where)
    left = kubectl.items(
        "deployment,service,secret,configmap,networkpolicy,role,serviceaccount",
        *("-n", NAMESPACE, "-l", f"app.kubernetes.io/instance={RELEASE}"),
    )
    assert left == []


def test_a_deleted_secret_is_made_anew_and_replaces_the_pods_that_read_it_at_their_start(
    kubectl: Kubectl, values_file: Path
) -> None:
    # Without a node no job ends.
    where = ("--namespace", NAMESPACE, "--no-hooks")
    upgrade = ("upgrade", "--install", RELEASE, str(CHART), *where, "--values", str(values_file))

    def templates() -> dict[str, Any]:
        found = kubectl.items("deployments", "-n", NAMESPACE)
        return {
            one["metadata"]["name"].removeprefix(f"{FULL}-"): one["spec"]["template"]
            for one in found
        }

    try:
        kubectl.helm(*upgrade)
        first = templates()
        kubectl.helm(*upgrade)
        assert templates() == first
        kubectl.run("delete", "secret", f"{FULL}-secrets", "-n", NAMESPACE)
        kubectl.helm(*upgrade)
        second = templates()
        assert {name for name in first if first[name] != second[name]} == {"model"}
        kubectl.helm("rollback", RELEASE, *where)
        assert templates() == first
    finally:
        kubectl.helm("uninstall", RELEASE, *where)


def test_on_a_cluster_with_keda_the_mode_is_keda_external(kubectl: Kubectl, tmp_path: Path) -> None:
    # The real cluster's APIs, not a list of them.
    file = tmp_path / "values.yaml"
    file.write_text(json.dumps(with_url({})))
    where = ("--namespace", NAMESPACE, "--values", str(file))
    text = kubectl.helm("install", RELEASE, str(CHART), *where, "--dry-run=server")
    assert "kind: ScaledObject" in text
    assert (
        "Replicas: 1 to 6, scaled by keda-external (scaling.mode is auto, and KEDA is in this"
        in text
    )


def test_replaced_pods_are_those_that_read_a_changed_setting() -> None:
    def checksums(settings: dict[str, Any]) -> dict[str, Any]:
        # Without a cluster helm makes new secrets in each rendering.
        values = {"scaling": {"mode": "resizer"}, "secrets": {"existing": "own"}}
        objects = render({**values, "settings": settings})
        return {name: one["metadata"].get("annotations") for name, one in pods(objects).items()}

    before, after = checksums({}), checksums({"autoscaler": {"tick_seconds": 2}})
    changed = {name for name in before if before[name] != after[name]}
    # The job that checks the settings has them all.
    assert changed == {"autoscaler", "resizer", "prometheus", "settings-check"}
