"""Every object against the schemas of the oldest and the newest Kubernetes, of KEDA and of the operator."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from support.components import unavailable
from support.kubernetes.chart import CHART, TABLE, Object, render
from support.kubernetes.programs import CACHE

DEFINITIONS = CACHE / "definitions"
NEWEST = "1.37"
CUSTOM = {
    "ScaledObject": "keda/keda.sh_scaledobjects.yaml",
    "PodMonitor": "prometheus-operator/monitoring.coreos.com_podmonitors.yaml",
    "PrometheusRule": "prometheus-operator/monitoring.coreos.com_prometheusrules.yaml",
}


def closed(schema: Any) -> Any:
    """The schema of a definition without room for unknown fields, as the API server reads it strictly."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: closed(part) for name, part in schema.items()}
    if (
        isinstance(found.get("properties"), dict)
        and found.get("type") == "object"
        and not found.get("x-kubernetes-preserve-unknown-fields")
    ):
        found.setdefault("additionalProperties", False)
    if found.get("x-kubernetes-int-or-string"):
        found.pop("type", None)
    return found


def objects(*kinds: str) -> list[Object]:
    """Each different object of the table of values once: of these kinds; by default all but custom ones."""
    found = {
        json.dumps(one)
        for values in TABLE.values()
        for one in render(values)
        if (one["kind"] in kinds if kinds else one["kind"] not in CUSTOM)
    }
    return [json.loads(one) for one in sorted(found)]


def oldest() -> str:
    """The version that the chart requires."""
    required = yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"]
    return str(required.removeprefix(">=").removesuffix(".0-0"))


@pytest.mark.parametrize("version", [oldest(), NEWEST])
def test_every_object_conforms_to_kubernetes(version: str) -> None:
    for one in objects():
        assert kubernetes_validate.validate(one, version, strict=True) == version


@pytest.mark.parametrize("kind", CUSTOM)
def test_every_custom_object_conforms_to_its_definition(kind: str) -> None:
    path = DEFINITIONS / CUSTOM[kind]
    if not path.exists():
        unavailable(f"{path} is missing: run `scripts/kubernetes tools`")
    definition = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
    (version,) = definition["spec"]["versions"]
    schema = closed(version["schema"]["openAPIV3Schema"])
    # The API server adds what every object has.
    schema["properties"]["metadata"] = {"type": "object"}
    validator = jsonschema.Draft7Validator(schema)
    found = objects(kind)
    assert found
    for one in found:
        assert list(validator.iter_errors(one)) == []
    one["spec"]["unknown"] = 1
    assert [error.validator for error in validator.iter_errors(one)] == ["additionalProperties"]


def test_an_unknown_field_is_found() -> None:
    one = next(each for each in objects() if each["kind"] == "Deployment")
    one["spec"]["template"]["spec"]["unknown"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(one, NEWEST, strict=True)
