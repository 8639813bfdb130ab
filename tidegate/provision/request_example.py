"""A request that a service accepts, from its OpenAPI document."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import orjson

from tidegate.provision.errors import ProvisionError

Row = dict[str, Any]
_ZEROS: Final[dict[str, Any]] = {"integer": 0, "number": 0, "string": "", "boolean": False}


def is_model_service(document: bytes) -> bool:
    """Whether an `/openapi.json` is that of the model service; any other application has other requests."""
    try:
        return "/predict" in orjson.loads(document)["paths"]
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return False


def get_path(document: bytes, without: Collection[str]) -> str | None:
    """The first path that a GET without parameters can ask for; None if the document has none.

    Args:
        document: the content of `/openapi.json`.
        without: paths that are none of the application's own, such as those of probes.
    """
    try:
        paths = orjson.loads(document)["paths"]
        for path, operations in paths.items():
            get = operations.get("get")
            if get is None or "{" in path or path in without:
                continue
            parameters = [*operations.get("parameters", ()), *get.get("parameters", ())]
            # What a reference stands for may be required.
            if not any("$ref" in one or one.get("required") for one in parameters):
                return str(path)
    except (orjson.JSONDecodeError, AttributeError, LookupError, TypeError):
        return None
    return None


def example_row(document: bytes, url: str) -> Row:
    """The example of a row; zeros in the documented shape if it is too long to be in the document.

    Raises:
        ProvisionError: the document describes no request to `/predict`.
    """
    try:
        schemas = orjson.loads(document)["components"]["schemas"]
        request = schemas["Request"]
        if "examples" in request:
            return dict(request["examples"][0]["instances"][0])
        name = request["properties"]["instances"]["items"]["$ref"].rpartition("/")[2]
        properties = schemas[name]["properties"]
        return {field: _smallest(schema) for field, schema in properties.items()}
    except (orjson.JSONDecodeError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ProvisionError(
            f"{url}/openapi.json has no example of a request; for an application of your own, set verify.path"
        ) from error


def _smallest(schema: dict[str, Any]) -> Any:
    """The smallest value of a schema of nested lists."""
    if schema["type"] == "array":
        return [_smallest(schema["items"])] * schema.get("minItems", 0)
    return _ZEROS[schema["type"]]
