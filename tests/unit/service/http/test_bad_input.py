"""No input of a client causes a 5xx, or a response many times its size.

Each value of a valid request is replaced by values of every kind, removed, and repeated.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from support.eventually import eventually_async
from support.harnesses.served_app import lifespan
from support.samples.flight_requests import INFER, tensors
from support.samples.served_models import write_tensor_model
from tidegate.service.http.app import create_app
from tidegate.service.model.artefact import Artefact
from tidegate.serving import Replica
from tidegate.settings import Settings

JSON = {"content-type": "application/json"}
# Nearly as deep as orjson accepts, and deeper than Python's `repr` supports.
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
    with serving(flights.path, tmp_path_factory.mktemp("bad_input")) as send:
        yield send


@contextmanager
def serving(model: Path, data_dir: Path) -> Iterator[Send]:
    """A service that has loaded a model."""
    app = create_app(Settings(model={"path": model}, stack={"data_dir": data_dir}))
    replica: Replica = app.state.replica
    transport = httpx.ASGITransport(replica.app, raise_app_exceptions=False)
    client = httpx.AsyncClient(transport=transport, base_url="http://flights")
    served = lifespan(replica.app)
    with asyncio.Runner() as runner:
        runner.run(served.__aenter__())
        runner.run(eventually_async(lambda: replica.lifecycle.phase != "loading", seconds=60))
        assert replica.lifecycle.phase == "ready", replica.lifecycle.reason
        yield lambda method, path, **more: runner.run(client.request(method, path, **more))
        runner.run(served.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def bodies(send: Send, samples: list[dict[str, Any]]) -> dict[str, Any]:
    """A valid body for each route."""
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


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each value in a JSON value; in a list, of the first two values."""
    yield path
    keys = (
        [*value]
        if isinstance(value, dict)
        else [*range(min(2, len(value)))]
        if isinstance(value, list)
        else []
    )
    for key in keys:
        yield from paths_of(value[key], (*path, key))


def changed(body: Any, path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> Any:
    """The body, changed at a path: `change` gets the container of the value, and its key."""
    whole = container = [copy.deepcopy(body)]
    key: Any = 0
    for step in path:
        container, key = container[key], step
    change(container, key)
    return whole[0] if whole else None


def replace(container: Any, key: Any, value: Any) -> None:
    """Replace the value."""
    container[key] = value


def remove(container: Any, key: Any) -> None:
    """Remove the value."""
    del container[key]


def repeat(container: Any, key: Any) -> None:
    """Repeat an entry of a list 200 times."""
    if isinstance(container, list):
        container[key:key] = [container[key]] * 200


@pytest.mark.parametrize("route", ["/predict", "/feedback", INFER])
def test_no_json_body_causes_a_5xx(send: Send, bodies: dict[str, Any], route: str) -> None:
    body = bodies[route]
    assert send("POST", route, json=body).status_code == 200

    for wrong in wrong_bodies(body):
        check(send, route, wrong)


def wrong_bodies(body: Any) -> Iterator[Any]:
    """The body with each of its values replaced, removed and repeated."""
    for path in paths_of(body):
        for value in ODD_VALUES:
            yield changed(body, path, partial(replace, value=value))
        yield changed(body, path, remove)
        yield changed(body, path, repeat)


def check(send: Send, route: str, body: Any) -> None:
    """Send a body, which must cause no 5xx and no long response."""
    content = orjson.dumps(body)
    response = send("POST", route, content=content, headers=JSON)
    assert response.status_code < 500, content[:2000]
    assert len(response.content) < 10 * len(content) + 5000, content[:2000]


def test_no_body_for_a_model_of_tensors_causes_a_5xx(tmp_path: Path) -> None:
    write_tensor_model(tmp_path / "model")
    row = {"image": [[1.5, 2, 3], [4, 5, 6]], "tokens": [1, 2], "name": "x", "flag": [True]}
    infer = "/v2/models/scene/infer"
    inputs = [
        {"name": "image", "datatype": "FP32", "shape": [1, 2, 3], "data": [row["image"]]},
        {"name": "tokens", "datatype": "INT64", "shape": [1, 2], "data": [row["tokens"]]},
        {"name": "name", "datatype": "BYTES", "shape": [1], "data": ["x"]},
        {"name": "flag", "datatype": "BOOL", "shape": [1, 1], "data": [True]},
    ]
    with serving(tmp_path / "model", tmp_path) as send:
        for route, body in {"/predict": {"instances": [row]}, infer: {"inputs": inputs}}.items():
            assert send("POST", route, json=body).status_code == 200
            for wrong in wrong_bodies(body):
                check(send, route, wrong)


@pytest.mark.parametrize("route", ["/predict", "/feedback", INFER])
def test_no_header_causes_a_5xx(send: Send, bodies: dict[str, Any], route: str) -> None:
    for name, value in product(HEADERS, ODD_HEADERS):
        for content in (orjson.dumps(bodies[route]), b"", b"\x1f\x8b\x08", b"[" * 2000):
            raw = {b"content-type": b"application/json", name.encode(): value.encode("latin-1")}
            response = send("POST", route, content=content, headers=raw)
            assert response.status_code < 500, (name, value, content[:100])


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
