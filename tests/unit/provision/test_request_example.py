"""The request that an application accepts, found in its OpenAPI document."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from fastapi import FastAPI, Header

from tidegate.provision.request_example import get_path

OWN = {"/metrics", "/ready"}


def document(paths: dict[str, Any]) -> bytes:
    return orjson.dumps({"openapi": "3.1.0", "paths": paths})


def test_the_first_get_route_of_an_application_that_needs_no_parameter_is_found() -> None:
    app = FastAPI()

    @app.get("/ready")
    @app.get("/cakes/{name}")
    @app.post("/orders")
    @app.get("/search")
    def search(q: str) -> None: ...

    @app.get("/mine")
    def mine(token: str = Header()) -> None: ...

    @app.get("/cakes")
    @app.get("/later")
    def cakes(limit: int = 10) -> None: ...

    app.add_api_route("/metrics", lambda: None)
    assert get_path(orjson.dumps(app.openapi()), OWN) == "/later"


@pytest.mark.parametrize(
    "paths",
    [
        {},
        {"/orders": {"post": {}}},
        {"/metrics": {"get": {}}},
        {"/a": {"get": {"parameters": [{"$ref": "#/components/parameters/key"}]}}},
        {"/a": {"get": {}, "parameters": [{"name": "key", "in": "query", "required": True}]}},
    ],
)
def test_no_other_route_is_taken(paths: dict[str, Any]) -> None:
    assert get_path(document(paths), OWN) is None


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"[]", b'{"paths": []}', b'{"paths": {"/": 1}}']
)
def test_what_is_no_openapi_document_has_no_route(content: bytes) -> None:
    assert get_path(content, OWN) is None
