"""A scenario of all routes of an application, from its OpenAPI document: a file for a person to complete."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
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
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"this is not a valid OpenAPI document: {error!r}") from error
    if not routes:
        raise UsageError("this OpenAPI document has no paths")
    return HEAD + "".join(routes)


def _routes(document: Mapping[str, Any]) -> Iterator[str]:
    names: set[str] = set()
    operations = (
        (path, item, method)
        for path, item in document["paths"].items()
        for method in METHODS
        if method in item
    )
    for path, item, method in operations:
        name = re.sub(r"[^a-z0-9]+", "_", f"{method}{path}".lower()).strip("_")[:50]
        name = f"{name}_{len(names)}" if name in names else name
        names.add(name)
        filled = _path(path, (item, item[method]), document)
        lines = {"name": name, "method": method.upper(), "path": filled}
        body = _resolved(item[method].get("requestBody", {}), document)
        if media := body.get("content", {}).get("application/json"):
            lines["body"] = json.dumps(_example(media, document), ensure_ascii=False)
        yield "\n[[routes]]\n" + ("" if method in SENT else "weight = 0  # it changes data\n")
        yield from (f"{key} = {json.dumps(text)}\n" for key, text in lines.items())


def _path(path: str, owners: Iterable[Mapping[str, Any]], document: Mapping[str, Any]) -> str:
    """The path with a value of each required parameter of its owners."""
    query = {}
    for one in (_resolved(of, document) for owner in owners for of in owner.get("parameters", ())):
        if one.get("required"):
            value = _example(one, document)
            path = path.replace(f"{{{one['name']}}}", quote(str(value), safe=""))
            if one["in"] == "query":
                query[one["name"]] = value
    return f"{path}?{urlencode(query, doseq=True)}" if query else path


def _example(of: Any, document: Mapping[str, Any], depth: int = 0) -> Any:
    """The example of a parameter, a body or a schema, or a value of its type."""
    if depth > MAX_DEPTH:
        return None
    of = _resolved(of, document)
    for key in ("example", "const", "default"):
        if key in of:
            return of[key]
    if isinstance(examples := of.get("examples"), dict):  # of a parameter or a body
        known = (_resolved(named, document) for named in examples.values())
        examples = [one["value"] for one in known if "value" in one]
    if values := examples or of.get("enum"):
        return values[0]
    if parts := of.get("allOf"):
        made = [_example(part, document, depth + 1) for part in parts]
        merged = {
            name: value for one in made if isinstance(one, dict) for name, value in one.items()
        }
        return merged or made[0]
    inner = [of["schema"]] if "schema" in of else of.get("anyOf", of.get("oneOf", ()))
    for choice in inner:
        if _resolved(choice, document).get("type") != "null":
            return _example(choice, document, depth + 1)
    return _of_type(of, document, depth + 1)


def _of_type(schema: Mapping[str, Any], document: Mapping[str, Any], depth: int) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = next((one for one in kind if one != "null"), "") if isinstance(kind, list) else kind
    if kind == "object":
        fields = schema.get("properties", {})
        names = (name for name in schema.get("required", ()) if name in fields)
        return {name: _example(fields[name], document, depth) for name in names}
    if kind == "array":
        item = _example(schema.get("items", {}), document, depth)
        return [item] * max(1, schema.get("minItems", 1))
    if kind in {"integer", "number"}:
        return int(schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1))
    text = TEXTS.get(schema.get("format", ""), "text").ljust(schema.get("minLength", 0), "x")
    return True if kind == "boolean" else text


def _resolved(value: Any, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a local reference names."""
    for _ in range(MAX_DEPTH):
        reference = value.get("$ref")
        if not isinstance(reference, str):
            break
        value = document
        for part in reference.removeprefix("#/").split("/"):
            value = value[part.replace("~1", "/").replace("~0", "~")]
    return dict(value)
