"""The use of slots during predictions, and their release after a disconnect."""

from __future__ import annotations

import asyncio
import threading
from time import perf_counter_ns, sleep
from typing import Any

import orjson
import pytest
from starlette.types import Message

from support.eventually import eventually_async
from support.harnesses.served_app import Serve, Served
from tidegate.service.model.loaded_model import INLINE_SECONDS
from tidegate.service.model.onnx_predictor import OnnxPredictor
from tidegate.service.model.work import Work, device_seconds
from tidegate.service.request_errors import RequestError
from tidegate.service.serving.client_disconnect import cancel_on_disconnect
from tidegate.settings import Device


@pytest.mark.parametrize(("work", "seconds"), [("light", 0.03), ("medium", 0.08), ("heavy", 0.2)])
def test_a_simulated_device_takes_its_time_by_kind(work: Work, seconds: float) -> None:
    assert device_seconds(Device(simulated=True), work) == seconds
    assert device_seconds(Device(), work) == 0


async def test_the_simulated_device_uses_the_slot_for_its_time_and_is_in_the_response(
    serve: Serve, samples: list[dict[str, Any]]
) -> None:
    async with serve(device={"simulated": True, "light_seconds": 0.05}) as served:
        before_ns = perf_counter_ns()
        response = await served.client.post("/predict", json={"instances": samples[:1]})
        spent_ns = perf_counter_ns() - before_ns
        metrics = (await served.client.get("/metrics")).text
        statistics = served.service.recorder.statistics
    assert response.json()["device"] == "simulated"
    assert 50e6 <= statistics.slot_ns < spent_ns
    assert 'tidegate_slot_seconds_bucket{le="0.04"} 0.0' in metrics


async def post(served: Served, body: bytes, disconnect: asyncio.Event) -> list[Message]:
    """Send a request of a client that disconnects when the event is set."""
    sent: list[Message] = []
    incoming: list[Message] = [{"type": "http.request", "body": body}]

    async def receive() -> Message:
        if incoming:
            return incoming.pop()
        await disconnect.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/predict",
        "raw_path": b"/predict",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "scheme": "http",
        "server": ("flights", 80),
    }
    await served.replica.app(scope, receive, send)
    return sent


async def test_a_client_that_disconnects_releases_its_slot(
    serve: Serve, samples: list[dict[str, Any]]
) -> None:
    device = {"simulated": True, "light_seconds": 30}
    async with serve(device=device, slots={"per_replica": 1}) as served:
        body, disconnect = orjson.dumps({"instances": samples[:1]}), asyncio.Event()
        working = asyncio.create_task(post(served, body, disconnect))
        await eventually_async(lambda: served.replica.slots.busy == 1)
        waiting = asyncio.create_task(post(served, body, disconnect))
        await eventually_async(lambda: served.replica.slots.waiting == 1)
        disconnect.set()
        await asyncio.wait_for(asyncio.gather(working, waiting), 5)
        assert (served.replica.slots.busy, served.replica.slots.waiting) == (0, 0)
    assert served.service.recorder.statistics.batches == 0
    assert [event["error"]["type"] for event in served.events()] == ["client_gone"] * 2


class BlockableModel:
    """Slows predictions. Once `block` is set, they wait for `unblock`, and then raise `error` if set."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.block, self.unblock = threading.Event(), threading.Event()
        self.error: Exception | None = None
        predict = OnnxPredictor.predict

        def blockable(predictor: OnnxPredictor, batch: Any) -> Any:
            sleep(10 * INLINE_SECONDS)
            if self.block.is_set():
                self.unblock.wait(30)
            if self.error is not None:
                raise self.error
            return predict(predictor, batch)

        patch.setattr(OnnxPredictor, "predict", blockable)


async def test_a_slow_model_never_blocks_the_event_loop(
    serve: Serve, samples: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = BlockableModel(monkeypatch)
    async with serve(slots={"per_replica": 2}) as served:
        model.block.set()
        body = {"instances": samples[:1]}
        requests = [
            asyncio.create_task(served.client.post("/predict", json=body)) for _ in range(2)
        ]
        await eventually_async(lambda: served.replica.slots.busy == 2)
        ready = await served.client.get("/ready")
        model.unblock.set()
        responses = await asyncio.gather(*requests)
    assert ready.status_code == 200
    assert [response.status_code for response in responses] == [200, 200]


@pytest.mark.parametrize("error", [None, ZeroDivisionError("a bug in the model")])
async def test_a_slot_is_in_use_until_its_thread_ends_after_a_disconnect(
    serve: Serve,
    samples: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception | None,
) -> None:
    model = BlockableModel(monkeypatch)
    async with serve(slots={"per_replica": 1, "wait_length": 0}) as served:
        model.block.set()
        body, disconnect = orjson.dumps({"instances": samples[:1]}), asyncio.Event()
        working = asyncio.create_task(post(served, body, disconnect))
        await eventually_async(lambda: served.replica.slots.busy == 1)
        disconnect.set()
        await eventually_async(lambda: working.cancelling() > 0)
        refused = await served.client.post("/predict", json={"instances": samples[:1]})
        assert served.replica.slots.busy == 1
        model.error = error
        model.unblock.set()
        await asyncio.wait_for(working, 30)
        assert served.replica.slots.busy == 0
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
    found = {event["error"]["type"]: event for event in served.events()}
    assert found.keys() == {"client_gone", "no_slot"}
    assert served.service.recorder.statistics.batches == 0
    # An error that the client does not get is logged.
    message = "prediction failed after the client disconnected"
    logged = [event for event in served.events("app") if event["message"] == message]
    assert [one["error"]["message"] for one in logged] == ([str(error)] if error else [])
    for one in logged:
        assert one["error"]["type"] == "ZeroDivisionError"
        assert one["trace"]["id"] == found["client_gone"]["trace"]["id"]


async def test_an_unexpected_error_while_loading_fails_the_replica_and_is_logged(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("tidegate.service.serving.model_service.make_monitor", broken)
    async with serve() as served:
        ready = await served.client.get("/ready")
        logged = next(e for e in served.events("app") if e["message"] == "loading failed")
    assert (ready.status_code, ready.json()["status"]) == (503, "failed")
    assert ready.json()["reason"].endswith("cannot be loaded: ZeroDivisionError: a bug")
    assert "in broken" in logged["error"]["stack_trace"]


async def never_disconnects() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def disconnects() -> Message:
    return {"type": "http.disconnect"}


async def test_a_cancelled_request_is_not_a_disconnected_client() -> None:
    async def work() -> None:
        async with cancel_on_disconnect(never_disconnects):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_disconnect_at_the_end_does_not_cancel_the_following_code() -> None:
    done: list[str] = []

    async def work() -> None:
        try:
            async with cancel_on_disconnect(disconnects):
                await asyncio.sleep(0)  # the watcher receives the disconnect as the block ends
        except RequestError as error:
            done.append(error.type)
        await asyncio.sleep(0)
        done.append("continued")

    await asyncio.create_task(work())
    assert done == ["client_gone", "continued"]


@pytest.mark.parametrize("tracing", ["native", "opentelemetry", "off"])
async def test_each_tracing_mode_has_the_spans_of_a_request(
    serve: Serve, samples: list[dict[str, Any]], tracing: str
) -> None:
    telemetry = {"tracing": tracing, "sample_ratio": 1.0}
    device = {"simulated": True, "light_seconds": 0.01}
    async with serve(telemetry=telemetry, device=device) as served:
        response = await served.client.post("/predict", json={"instances": samples[:1]})
    assert response.status_code == 200
    spans = {event["span"]["name"] for event in served.events("span")}
    parts = {"request.parse", "slot.wait", "model.predict", "device.simulated", "response.encode"}
    assert parts & spans == (set() if tracing == "off" else parts)
