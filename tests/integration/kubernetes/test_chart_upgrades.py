"""An upgrade or a rollback ends where an installation begins: nothing of the values before is left.

The API server keeps some fields that are removed from a manifest, such as the alias `serviceAccount` of
`serviceAccountName`. So each object is compared with what the server would make of its manifest alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from support.kubernetes.chart import CHART, FULL, RELEASE, SECURED, Object, Values, with_url
from support.kubernetes.client import Kubectl
from support.kubernetes.control_plane import ControlPlane
from tools.kustomize.__main__ import MODES

NAMESPACE: Final = "upgrades"
KINDS: Final = (
    "deployment,service,secret,configmap,networkpolicy,role,rolebinding,serviceaccount,poddisruptionbudget,"
    "persistentvolumeclaim,job,scaledobject,podmonitor,prometheusrule"
)

EVERY_REVISION: Final = ("--history-max", "0")
# Without a node no job ends.
NO_HOOKS: Final = "--no-hooks"


@pytest.fixture(scope="module")
def release(
    control_plane: ControlPlane, defined: Kubectl, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Release]:
    """The chart in a namespace of its own."""
    defined.run("create", "namespace", NAMESPACE)
    control_plane.wait_for_namespace(NAMESPACE)
    yield Release(defined, tmp_path_factory.mktemp("values") / "values.yaml")
    defined.run("delete", "namespace", NAMESPACE, "--wait=false")


class Release:
    """An installed chart on an API server without a node.

    Attributes:
        revision: the number of the last upgrade or rollback.
    """

    def __init__(self, kubectl: Kubectl, values: Path) -> None:
        self.kubectl = kubectl
        self.values = values
        self.revision = 0

    def upgrade(self, values: Values, *flags: str) -> int:
        """`helm upgrade --install`; returns the revision."""
        self.values.write_text(json.dumps(with_url(values)))
        chosen = ("--values", str(self.values), *EVERY_REVISION, NO_HOOKS, *flags)
        self._helm("upgrade", "--install", RELEASE, str(CHART), *chosen)
        return self._next()

    def rollback(self, revision: int) -> int:
        """`helm rollback`; returns the new revision."""
        self._helm("rollback", RELEASE, str(revision), *EVERY_REVISION, NO_HOOKS)
        return self._next()

    @property
    def replicas(self) -> int:
        """The number of pods that the Deployment asks for."""
        found = self.kubectl.get("deployment", f"{FULL}-model", "-n", NAMESPACE)
        return int(found["spec"]["replicas"])

    def scale(self, number: int) -> None:
        """Set it as an HPA, KEDA and a person do."""
        changed = ("scale", f"deployment/{FULL}-model", f"--replicas={number}", "-n", NAMESPACE)
        self.kubectl.run(*changed)

    def uninstall(self) -> None:
        self._helm("uninstall", RELEASE, "--wait", NO_HOOKS)
        self.revision = 0

    def found(self) -> dict[tuple[str, str], Object]:
        """The objects that are there, by kind and name."""
        return self._objects("get", KINDS, "-l", f"app.kubernetes.io/instance={RELEASE}")

    def left_over(self) -> list[str]:
        """What differs from the manifest alone, and what objects refer to that is not there."""
        manifest = self._helm("get", "manifest", RELEASE)
        wanted = self._objects("replace", "--dry-run=server", "-f", "-", text=manifest)
        found = self.found()
        differing = [
            " ".join(name)
            for name in sorted(wanted.keys() | found.keys())
            if _content(wanted.get(name)) != _content(found.get(name))
        ]
        missing = [
            f"{kind} {name}"
            for kind, name in sorted(_references(found))
            if (kind, name) not in found and (kind, name) != ("ServiceAccount", "default")
        ]
        return differing + [f"missing: {one}" for one in missing]

    def _next(self) -> int:
        self.revision += 1
        return self.revision

    def _helm(self, *arguments: str) -> str:
        return self.kubectl.helm(*arguments, "--namespace", NAMESPACE)

    def _objects(self, *arguments: str, text: str | None = None) -> dict[tuple[str, str], Object]:
        """The objects that kubectl prints, by kind and name."""
        output = self.kubectl.run(*arguments, "-n", NAMESPACE, "-o", "yaml", text=text)
        documents = yaml.load_all(output, Loader=yaml.CSafeLoader)
        objects = [each for one in documents for each in one.get("items", [one])]
        return {(one["kind"], one["metadata"]["name"]): one for one in objects}


def _content(one: Object | None) -> Object | None:
    """The object but for what the server keeps about it."""
    return one and {name: part for name, part in one.items() if name not in {"metadata", "status"}}


def _references(objects: dict[tuple[str, str], Object]) -> set[tuple[str, str]]:
    """The accounts, ConfigMaps and Secrets that pods need."""
    found = set()
    for (kind, _), one in objects.items():
        if kind != "Deployment":
            continue
        pod = one["spec"]["template"]["spec"]
        found.add(("ServiceAccount", pod.get("serviceAccountName", "default")))
        for volume in pod["volumes"]:
            if "configMap" in volume:
                found.add(("ConfigMap", volume["configMap"]["name"]))
            if "secret" in volume:
                found.add(("Secret", volume["secret"]["secretName"]))
    return found


def mode(name: str) -> Values:
    return {"scaling": {"mode": name}}


def test_from_mode_to_mode_and_back(release: Release) -> None:
    walk = [*MODES, MODES[0]]
    revisions = {}
    found = {}
    before = "nothing"
    for name in walk:
        revisions[name] = release.upgrade(mode(name))
        found[f"{before} to {name}"] = release.left_over()
        before = name
    for name in walk[1:]:
        revisions[name] = release.rollback(revisions[name])
        found[f"rollback of {before} to {name}"] = release.left_over()
        before = name
    assert {change: left for change, left in found.items() if left} == {}


def test_a_service_is_named_as_its_release_and_an_older_one_keeps_its_name(
    release: Release,
) -> None:
    settings = ("configmap", f"{FULL}-settings", "-n", NAMESPACE)

    def written() -> str:
        release.upgrade(mode("none"))
        return str(release.kubectl.get(*settings)["data"]["tidegate.toml"])

    new = f'name = "{RELEASE}"\n'
    assert new in written()
    older = {"data": {"tidegate.toml": written().replace(new, "")}}
    release.kubectl.run("patch", *settings, "--field-manager=helm", "--patch", json.dumps(older))
    assert written() == older["data"]["tidegate.toml"]
    release.uninstall()


@pytest.mark.parametrize("way", ["true", "false"])
def test_what_runs_stays_when_the_mode_none_ends(release: Release, way: str) -> None:
    """Both for helm 4, which applies on the server, and for helm 3, which compares two manifests."""
    flags = (f"--server-side={way}",)
    release.upgrade({**mode("none"), "settings": {"replicas": {"start": 3}}}, *flags)
    numbers = []
    for others in (None, None, 5, None):
        if others is not None:
            release.scale(others)
        release.upgrade(mode("resizer"), *flags)
        numbers.append(release.replicas)
    assert numbers == [3, 3, 5, 5]
    release.uninstall()


def test_without_keda_helm_needs_its_definition_once_more(
    release: Release, definitions: dict[str, Path]
) -> None:
    # docs/how-to/kubernetes.md, Choose how to scale: what to do when KEDA was removed first.
    kubectl, scaled = release.kubectl, str(definitions["scaledobjects"])
    release.upgrade(mode("auto"))
    kubectl.run("delete", "-f", scaled)
    try:
        with pytest.raises(AssertionError, match='no matches for kind "ScaledObject"'):
            release.upgrade(mode("auto"))
    finally:
        kubectl.define(Path(scaled))
    release.upgrade(mode("resizer"))
    kubectl.run("delete", "-f", scaled)
    try:
        release.upgrade(mode("auto"))
    finally:
        kubectl.define(Path(scaled))
    assert release.left_over() == []


def test_each_revision_sets_up_elasticsearch_by_a_job_of_its_own(release: Release) -> None:
    def jobs() -> set[str]:
        return {name.removeprefix(f"{FULL}-") for kind, name in release.found() if kind == "Job"}

    def named(revision: int) -> set[str]:
        return {f"setup-elasticsearch-{revision}", f"setup-kibana-{revision}"}

    first = release.upgrade(SECURED)
    assert jobs() == named(first)
    assert release.upgrade(SECURED) == first + 1
    assert jobs() == named(first + 1)
    # With the manifest of the first, whose job was removed and so runs again.
    release.rollback(first)
    assert jobs() == named(first)


def test_only_the_samples_of_prometheus_outlive_the_release(release: Release) -> None:
    values = {**SECURED, "prometheus": {"storage": {"size": "1Gi"}}}
    claim = ("persistentvolumeclaim", f"{FULL}-prometheus", "-n", NAMESPACE)
    release.upgrade(values)
    before = release.kubectl.get(*claim)["metadata"]["uid"]
    release.uninstall()
    assert list(release.found()) == [("PersistentVolumeClaim", f"{FULL}-prometheus")]
    # The next one of that name takes it over.
    release.upgrade(values)
    assert release.kubectl.get(*claim)["metadata"]["uid"] == before
