"""No input of a client is answered with a 5xx, or with an answer many times its size.

Valid requests are sent with each value in turn replaced by one of every kind, left out, or repeated.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any

import httpx
import orjson
import pytest

from support.served_app import lifespan, until
from tidegate.service.http.app import create_app
from tidegate.service.model.artefact import Artefact
from tidegate.service.serving.replica import Replica
from tidegate.settings import Settings

from .test_v2 import INFER, tensors

JSON = {"content-type": "application/json"}
# Nearly as deep as orjson reads, and deeper than Python's `repr` goes.
NESTED = orjson.Fragment(b"[" * 900 + b"0" + b"]" * 900)
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 2**63 - 1, 2**64 - 1, 1.5, -1e308, 5e-324),
    *("", "x" * 2000, "label", "\0", "BYTES", "ü"),
    *([], ["x"], [None], [[1]], [{}], {}, {"name": {}}, NESTED),
)
ODD_HEADERS = (
    *("", "gzip", "deflate", "gzip, deflate", "\xff", "9" * 5000, "0" * 5000, "-1", "0", "1e9"),
    *("application/json; x", "00-" + "1" * 32 + "-" + "1" * 16 + "-01", "t=" + "9" * 19),
)
HEADERS = (
    *("accept", "accept-encoding", "content-type", "content-encoding", "content-length"),
    *("inference-header-content-length", "traceparent", "tracestate", "x-request-start"),
)
Send = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def send(flights: Artefact, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Send]:
    """Sends a request to a service that has loaded its model."""
    data_dir = tmp_path_factory.mktemp("bad_input")
    app = create_app(Settings(model={"path": flights.path}, stack={"data_dir": data_dir}))
    replica: Replica = app.state.replica
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    client = httpx.AsyncClient(transport=transport, base_url="http://flights")
    served = lifespan(app)
    with asyncio.Runner() as runner:
        runner.run(served.__aenter__())
        runner.run(until(lambda: replica.phase != "loading", 60))
        assert replica.phase == "ready"
        yield lambda method, path, **more: runner.run(client.request(method, path, **more))
        runner.run(served.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def bodies(send: Send, samples: list[dict[str, Any]]) -> dict[str, Any]:
    """A body that each route takes."""
    predict = {"instances": samples[:1], "work": "light"}
    predicted = send("POST", "/predict", json=predict).json()["predictions"][0]
    parameters = {"binary_data": False}
    number, *rest = sorted(tensors(samples[:1]), key=lambda tensor: tensor["datatype"] == "BYTES")
    return {
        "/predict": predict,
        "/feedback": {"outcomes": [{"prediction_id": predicted["prediction_id"], "label": "late"}]},
        INFER: {
            "id": "1",
            "outputs": [{"name": "label", "parameters": parameters}],
            "parameters": {"work": "light", "binary_data_output": False},
            "inputs": [number | {"parameters": {}}, *reversed(rest)],
        },
    }


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each value in a JSON value; of a longer list, of its first two alone."""
    yield path
    keys = (
        [*value]
        if isinstance(value, dict)
        else [*range(min(2, len(value)))]
        if isinstance(value, list)
        else []
    )
    for key in keys:
        yield from places(value[key], (*path, key))


def changed(body: Any, path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> Any:
    """The body, changed at a path: `change` gets what is above the value, and its key in it."""
    whole = above = [copy.deepcopy(body)]
    key: Any = 0
    for step in path:
        above, key = above[key], step
    change(above, key)
    return whole[0] if whole else None


def put(above: Any, key: Any, value: Any) -> None:
    """Put another value in."""
    above[key] = value


def remove(above: Any, key: Any) -> None:
    """Leave the value out."""
    del above[key]


def repeat(above: Any, key: Any) -> None:
    """Repeat an entry of a list 200 times."""
    if isinstance(above, list):
        above[key:key] = [above[key]] * 200


@pytest.mark.parametrize("route", ["/predict", "/feedback", INFER])
def test_no_json_body_causes_a_5xx(send: Send, bodies: dict[str, Any], route: str) -> None:
    body = bodies[route]
    assert send("POST", route, json=body).status_code == 200

    def check(body: Any) -> None:
        content = orjson.dumps(body)
        answer = send("POST", route, content=content, headers=JSON)
        assert answer.status_code < 500, content[:2000]
        assert len(answer.content) < 10 * len(content) + 5000, content[:2000]

    for path in places(body):
        for value in ODD_VALUES:
            check(changed(body, path, partial(put, value=value)))
        check(changed(body, path, remove))
        check(changed(body, path, repeat))


@pytest.mark.parametrize("route", ["/predict", "/feedback", INFER])
def test_no_header_causes_a_5xx(send: Send, bodies: dict[str, Any], route: str) -> None:
    for name, value in product(HEADERS, ODD_HEADERS):
        for content in (orjson.dumps(bodies[route]), b"", b"\x1f\x8b\x08", b"[" * 2000):
            raw = {b"content-type": b"application/json", name.encode(): value.encode("latin-1")}
            answer = send("POST", route, content=content, headers=raw)
            assert answer.status_code < 500, (name, value, content[:100])


def test_no_path_causes_a_5xx(send: Send) -> None:
    paths = (
        "/predict",
        "/feedback",
        "/live",
        "/ready",
        "/openapi.json",
        "/docs",
        "/metrics",
        "/v2",
    )
    odd = (
        "/v2/models/%00",
        "/v2/models/flights/versions/%ff",
        "/v2/repository/index",
        "//",
        "/%2e",
    )
    for method, path in product(("GET", "HEAD", "POST", "PUT", "OPTIONS", "ODD"), (*paths, *odd)):
        assert send(method, path).status_code < 500, (method, path)
