"""SECURITY.md: nothing is recorded of the body, the unknown path or the protocol of a refused request."""

from __future__ import annotations

from typing import Any

import pytest

from support.harnesses.served_app import Serve
from support.samples.flight_requests import EXAMPLE, INFER, tensors

SECRET = "planted-xyzzy"
VALUES: tuple[Any, ...] = (SECRET, [SECRET], {SECRET: SECRET}, [[SECRET, 1]], 8_120_407_711)
BODIES: list[tuple[str, Any]] = [
    ("/predict", {"instances": [EXAMPLE], SECRET: 1}),
    ("/predict", {"instances": [EXAMPLE | {SECRET: 1}]}),
    ("/predict", {"instances": [EXAMPLE], "work": SECRET}),
    (INFER, {"inputs": tensors([EXAMPLE]), "id": SECRET}),
    (INFER, {"inputs": tensors([EXAMPLE]), "outputs": [{"name": SECRET}]}),
    (INFER, {"inputs": tensors([EXAMPLE]), "parameters": {"work": SECRET}}),
    ("/feedback", {"outcomes": [{SECRET: SECRET}]}),
    (f"/v2/models/{SECRET}/infer", {"inputs": []}),
]
for value in VALUES:
    BODIES += [("/predict", {"instances": [EXAMPLE | {name: value}]}) for name in ("dest", "hour")]
    outcomes = [{"prediction_id": value, "label": value}]
    BODIES += [("/predict", value), ("/feedback", value), ("/feedback", {"outcomes": outcomes})]
    for key in ("name", "datatype", "shape", "data", "parameters"):
        first, *others = tensors([EXAMPLE])
        BODIES.append((INFER, {"inputs": [first | {key: value}, *others]}))


@pytest.mark.parametrize("tracing", ["native", "opentelemetry"])
async def test_nothing_of_a_refused_body_is_recorded(serve: Serve, tracing: str) -> None:
    # The spans of slow requests are kept, whatever the status; of an error in a span its string is, too.
    async with serve(telemetry={"tracing": tracing, "slow_seconds": 0.001}) as served:
        for path, body in BODIES:
            await served.client.post(path, json=body)
        await served.client.post("/predict", content=f"{{{SECRET}")
        for not_finite in (
            f'{{"{SECRET}": NaN}}',
            f'{{"instances": [{{"{SECRET}": [-Infinity]}}]}}',
        ):
            await served.client.post("/predict", content=not_finite)
        await served.client.post("/predict", json={}, headers={"content-type": SECRET})
        events = served.events()
        written = b"".join(file.read_bytes() for file in served.log_dir.glob("*"))
    assert len(events) == len(BODIES) + 4
    assert sum("error" in event for event in events) > 50
    assert served.events("span")
    assert SECRET.encode() not in written
    assert b"8120407711" not in written
