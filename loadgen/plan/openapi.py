"""A scenario of all routes of an application, from its OpenAPI document: a file for a person to complete."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from tidegate.loadgen.errors import UsageError

# What changes or deletes what is there is sent once a person has given it a weight.
SENT: Final = ("get", "post")
METHODS: Final = (*SENT, "put", "patch", "delete")
MAX_DEPTH: Final = 12
TEXTS: Final = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "email": "name@example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "uri": "http://127.0.0.1/",
}
HEAD: Final = """\
name = "routes"
description = "All routes of an OpenAPI document."

[[phases]]
kind = "constant"
seconds = 30
rate = 10
"""


def scenario_of(document: Any) -> str:
    """The scenario in TOML: a route for each operation, with values of its examples or types.

    Raises:
        UsageError: it is no OpenAPI document, or has no operation.
    """
    try:
        routes = list(_routes(document))
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"this is not a valid OpenAPI document: {error!r}") from error
    if not routes:
        raise UsageError("this OpenAPI document has no paths")
    return HEAD + "".join(routes)


def _routes(document: Mapping[str, Any]) -> Iterator[str]:
    names: set[str] = set()
    for path, item in document["paths"].items():
        for method in METHODS:
            if (operation := item.get(method)) is None:
                continue
            name = base = re.sub(r"[^a-z0-9]+", "_", f"{method}{path}".lower()).strip("_")[:50]
            while name in names:
                name = f"{base}_{len(names)}"
            names.add(name)
            given = [*item.get("parameters", ()), *operation.get("parameters", ())]
            parameters = [_resolved(one, document) for one in given]
            lines = {"name": name, "method": method.upper()}
            lines["path"] = _path(path, parameters, document)
            body = _resolved(operation.get("requestBody", {}), document).get("content", {})
            if media := body.get("application/json"):
                lines["body"] = json.dumps(_value(media, document), ensure_ascii=False)
            yield "\n[[routes]]\n" + ("" if method in SENT else "weight = 0  # it changes data\n")
            yield from (f"{key} = {json.dumps(text)}\n" for key, text in lines.items())


def _path(path: str, parameters: list[Mapping[str, Any]], document: Mapping[str, Any]) -> str:
    values = {
        (one["in"], one["name"]): str(_value(one, document))
        for one in parameters
        if one.get("required")
    }
    for (where, name), value in values.items():
        if where == "path":
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
    query = urlencode(
        [(name, value) for (where, name), value in values.items() if where == "query"]
    )
    return f"{path}?{query}" if query else path


def _value(of: Mapping[str, Any], document: Mapping[str, Any]) -> Any:
    """The example of a parameter or body, or a value of its schema."""
    if "example" in of:
        return of["example"]
    for named in of.get("examples", {}).values():
        return _resolved(named, document)["value"]
    return _example(of.get("schema", {}), document, 0)


def _example(schema: Any, document: Mapping[str, Any], depth: int) -> Any:
    if depth > MAX_DEPTH or not isinstance(schema, dict):
        return None
    schema = _resolved(schema, document)
    for key in ("example", "const", "default"):
        if key in schema:
            return schema[key]
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    if parts := schema.get("allOf"):
        made = [_example(part, document, depth + 1) for part in parts]
        objects = [one for one in made if isinstance(one, dict)]
        return {key: value for one in objects for key, value in one.items()} or made[0]
    for choice in schema.get("anyOf", schema.get("oneOf", ())):
        if _resolved(choice, document).get("type") != "null":
            return _example(choice, document, depth + 1)
    return _of_type(schema, document, depth)


def _of_type(schema: Mapping[str, Any], document: Mapping[str, Any], depth: int) -> Any:
    kinds = schema.get("type", "object" if "properties" in schema else "string")
    kind = next((one for one in kinds if one != "null"), "") if isinstance(kinds, list) else kinds
    if kind == "object":
        fields = schema.get("properties", {})
        required = (name for name in schema.get("required", ()) if name in fields)
        return {name: _example(fields[name], document, depth + 1) for name in required}
    if kind == "array":
        count = max(1, schema.get("minItems", 1))
        return [_example(schema.get("items", {}), document, depth + 1)] * count
    if kind in {"integer", "number"}:
        return int(schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1))
    if kind == "boolean":
        return True
    return TEXTS.get(schema.get("format", ""), "text").ljust(schema.get("minLength", 0), "x")


def _resolved(value: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a local reference names."""
    for _ in range(MAX_DEPTH):
        reference = value.get("$ref")
        if not isinstance(reference, str):
            break
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")]
        value = found
    return value
