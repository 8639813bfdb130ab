"""values.schema.json: helm refuses a value that is not in it. Made of values.yaml and of the settings."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from tidegate.settings import Settings
from tools.generate.chart.values_file import Value, is_open

PULL_POLICIES: Final = ("Always", "IfNotPresent", "Never")
CHOICES: Final = {
    "scaling.mode": ("auto", "keda-external", "keda-metrics-api", "hpa", "resizer", "none"),
    "prometheus.mode": ("bundled", "operator", "external"),
    "elasticsearch.setup.users": ("native", "given"),
    "gateway.service.type": ("ClusterIP", "NodePort", "LoadBalancer"),
    "ipFamily": ("IPv4", "IPv6"),
}
PORT: Final = {"type": "integer", "minimum": 1, "maximum": 65535}
URL: Final = {"type": "string", "pattern": "^(https?://.+)?$"}
# It begins names of Services, and is the value of a label.
NAME: Final = {"type": "string", "pattern": "^([a-z]([a-z0-9-]{0,61}[a-z0-9])?)?$"}
# Without a tag, which has a value of its own.
REPOSITORY: Final = {"type": "string", "pattern": r"^([^\s/]+/)*[^\s/:]+$"}
QUANTITY: Final = r"[0-9]+(\.[0-9]+)?([KMGTPE]i|[kMGTPE])?"
SPECIAL: Final[dict[str, dict[str, Any]]] = {
    "model.port": PORT,
    "gateway.service.port": PORT,
    # A number or a share.
    "model.maxUnavailable": {
        "type": ["integer", "string"],
        "minimum": 0,
        "pattern": "^([0-9]{1,2}|100)%$",
    },
    "model.serviceAccountName": {"type": "string", "minLength": 1},
    "nameOverride": NAME,
    "fullnameOverride": NAME,
    "model.livePath": {"type": "string", "pattern": "^(/.*)?$"},
    "collector.sizeLimit": {"type": "string", "pattern": f"^{QUANTITY}$"},
    "prometheus.storage.size": {"type": "string", "pattern": f"^({QUANTITY})?$"},
    "model.runAsUser": {"type": "integer", "minimum": 1},
    "model.runAsGroup": {"type": "integer", "minimum": 1},
    "elasticsearch.url": URL,
    "logstash.url": URL,
    "logstash.monitoringUrl": URL,
    "kibana.url": URL,
    "prometheus.url": URL,
    "scaling.keda.pollingSeconds": {"type": "integer", "minimum": 1},
    "scaling.keda.cooldownSeconds": {"type": "integer", "minimum": 0},
    "gateway.preStopSeconds": {"type": "integer", "minimum": 1},
    "gateway.unreachableSeconds": {"type": "integer", "minimum": 0},
}
# Settings, or whole sections, that the chart sets itself.
OWNED: Final = frozenset(
    {
        "service.node_name",
        "telemetry.metrics_port",
        "gateway.port",
        "gateway.metrics_port",
        "replicas.first_port",
        "prometheus.port",
        "store.kind",
        "store.elasticsearch.url",
        "store.elasticsearch.username",
        "store.elasticsearch.password_file",
        "store.elasticsearch.ca_file",
        "store.embedded",
        "collector.sink",
        "collector.logstash",
        "collector.metrics_port",
        "autoscaler.enabled",
        "autoscaler.metrics_port",
        "autoscaler.resizer_token_file",
        "autoscaler.gateway_metrics_url",
        "autoscaler.scaler",
        "autoscaler.external_scaler_port",
        "drift.watch",
        "drift.watch_port",
        "drift.prediction_key_file",
        "slots.file",
        "ray",
        "resizer",
        "exporter",
        "provision",
        "kibana",
        "verify",
        "console",
        "stack",
    }
)
TYPES: Final = {bool: "boolean", int: "integer", str: "string", list: "array", dict: "object"}
DROPPED: Final = frozenset({"title", "default", "format"})


def values_schema(values: Iterable[Value]) -> str:
    """The text of values.schema.json."""
    settings = Settings.model_json_schema()
    values = tuple(values)
    properties = {one.name: _schema(one, settings) for one in values}
    return (
        json.dumps(
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "title": "Values of the chart tidegate",
                "type": "object",
                # `global` is given by a chart that contains this one.
                "properties": {**properties, "global": {"type": "object"}},
                "required": _required(values),
                "additionalProperties": False,
            },
            indent=2,
        )
        + "\n"
    )


def _schema(value: Value, settings: dict[str, Any]) -> dict[str, Any]:
    if value.name == "settings":
        return {"description": value.meaning} | _settings_schema(settings, settings, "")
    described = {"description": value.meaning} if value.meaning else {}
    if value.children is not None:
        children = {one.name.rpartition(".")[2]: _schema(one, settings) for one in value.children}
        return {
            **described,
            "type": "object",
            "properties": children,
            "required": _required(value.children),
            "additionalProperties": False,
        }
    return {**described, **_leaf(value)}


def _required(values: Iterable[Value]) -> list[str]:
    """The values that templates need. Each has a default; helm takes it away where a person writes null.

    Empty lists, texts and mappings are not: null is the same. Of settings it is, too: default-settings.json.
    """
    return [
        one.name.rpartition(".")[2]
        for one in values
        if one.name != "settings" and (one.default not in ([], {}, "")) and not is_open(one.name)
    ]


def _leaf(value: Value) -> dict[str, Any]:
    last = value.name.rpartition(".")[2]
    if choices := PULL_POLICIES if last == "pullPolicy" else CHOICES.get(value.name):
        return {"enum": list(choices)}
    if last == "repository":
        return REPOSITORY
    if special := SPECIAL.get(value.name):
        return special
    if is_open(value.name):
        return {"type": "object"}
    return {"type": TYPES[type(value.default)]}


def _settings_schema(node: dict[str, Any], root: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The schema of a section, with its references resolved and without what the chart sets itself."""
    if reference := node.get("$ref"):
        node = root["$defs"][reference.rpartition("/")[2]] | {
            name: part for name, part in node.items() if name != "$ref"
        }
    found = {name: part for name, part in node.items() if name not in DROPPED | {"$defs"}}
    for name in ("anyOf", "prefixItems"):
        if name in found:
            found[name] = [_settings_schema(one, root, prefix) for one in found[name]]
    if isinstance(found.get("items"), dict):
        found["items"] = _settings_schema(found["items"], root, prefix)
    if "\\w" in found.get("pattern", "").lower():  # of ASCII alone in Go, in which helm is written
        del found["pattern"]
    if "properties" in found:
        found["properties"] = {
            name: _settings_schema(part, root, f"{prefix}{name}.")
            for name, part in found["properties"].items()
            if f"{prefix}{name}" not in OWNED
        }
        # Docstrings of sections describe the code.
        found.pop("description", None)
    return found
