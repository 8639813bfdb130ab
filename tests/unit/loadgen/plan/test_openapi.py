"""A scenario from an OpenAPI document: of a real application, and of documents that are none."""

from __future__ import annotations

import json
import tomllib
from enum import Enum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI, Query
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from tidegate.loadgen.errors import UsageError
from tidegate.loadgen.plan.openapi import scenario_of
from tidegate.loadgen.plan.scenario import load_schedule


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


class Item(BaseModel):
    name: Annotated[str, Field(min_length=3)]
    size: Size
    amount: Annotated[int, Field(gt=2)]
    key: UUID
    note: str | None
    tags: Annotated[list[str], Field(min_length=2)]
    extra: int = 3


class Order(BaseModel):
    items: list[Item]
    customer: Annotated[str, Field(examples=["Jo"])]


app = FastAPI()


@app.get("/items/{number}")
def item(number: int, q: str, tag: Annotated[list[Size], Query()], page: int = 1) -> int:
    assert tag
    return number + len(q) + page


@app.post("/orders", status_code=201)
def order(body: Order) -> str:
    return body.customer


@app.delete("/items/{number}")
def remove(number: int) -> None:
    raise AssertionError(number)


@app.get("/uploads/{path:path}")
def upload(path: str) -> str:
    return path


async def test_each_route_of_an_application_gets_a_request_that_it_accepts(tmp_path: Path) -> None:
    path = tmp_path / "shop.toml"
    path.write_text(scenario_of(app.openapi()), encoding="utf-8")
    routes = load_schedule(str(path)).routes
    assert {route.name: route.weight for route in routes} == {
        "get_items_number": 1,
        "post_orders": 1,
        "delete_items_number": 0,
        "get_uploads_path": 1,
    }
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1")
    for route in routes:
        if route.weight:
            answer = await client.request(
                route.method,
                route.path,
                content=str(route.body or ""),
                headers={"Content-Type": "application/json"},
            )
            assert answer.status_code in {200, 201}, answer.text
            assert route.name != "post_orders" or answer.json() == "Jo"


@pytest.mark.parametrize(
    "document",
    [None, [], {}, {"paths": {}}, {"paths": {"/a": None}}, {"paths": {"/a": {"get": 1}}}],
)
def test_what_is_no_document_is_an_error(document: Any) -> None:
    with pytest.raises(UsageError, match="OpenAPI document"):
        scenario_of(document)


def test_a_schema_that_contains_itself_ends() -> None:
    node = {
        "type": "object",
        "required": ["next"],
        "properties": {"next": {"$ref": "#/components/schemas/Node"}},
    }
    media = {"schema": {"$ref": "#/components/schemas/Node"}}
    made = scenario_of(
        {
            "paths": {"/a": {"post": {"requestBody": {"content": {"application/json": media}}}}},
            "components": {"schemas": {"Node": node}},
        }
    )
    assert '{\\"next\\": ' in made


PET = {"type": "object", "required": ["name"], "properties": {"name": {"example": "Rex"}}}
DOG = {"type": "object", "required": ["barks"], "properties": {"barks": {"type": "boolean"}}}


@pytest.mark.parametrize(
    ("media", "value"),
    [
        ({"schema": {"allOf": [PET, DOG]}}, {"name": "Rex", "barks": True}),
        ({"schema": {"anyOf": [{"type": "null"}, {"type": "integer"}]}}, 1),
        ({"schema": {"type": ["null", "integer"], "minimum": 3}}, 3),
        ({"examples": {"a": {"externalValue": "http://a"}}, "schema": PET}, {"name": "Rex"}),
        ({"examples": {"a": {"$ref": "#/components/examples/A"}}}, [1]),
    ],
)
def test_a_body_is_an_example_or_what_its_schema_says(media: object, value: object) -> None:
    document = {
        "paths": {"/a": {"post": {"requestBody": {"content": {"application/json": media}}}}},
        "components": {"examples": {"A": {"value": [1]}}},
    }
    (route,) = tomllib.loads(scenario_of(document))["routes"]
    assert json.loads(route["body"]) == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda part: st.lists(part) | st.dictionaries(st.text(), part),
)
SCHEMAS = st.recursive(
    st.fixed_dictionaries({}, optional={"type": JSON, "enum": JSON, "minItems": st.integers(0, 9)}),
    lambda part: st.fixed_dictionaries(
        {}, optional={"anyOf": st.lists(part), "allOf": st.lists(part), "items": part | JSON}
    ),
)


@given(schema=SCHEMAS | JSON)
def test_any_schema_gives_a_scenario_or_an_error(schema: Any) -> None:
    media = {"application/json": {"schema": schema}}
    document = {"paths": {"/a": {"post": {"requestBody": {"content": media}}}}}
    try:
        scenario_of(json.loads(json.dumps(document)))
    except UsageError as error:
        assert "OpenAPI" in str(error)  # noqa: PT017
