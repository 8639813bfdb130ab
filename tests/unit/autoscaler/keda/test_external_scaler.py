"""What KEDA gets, over a real gRPC connection on loopback."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.eventually import eventually_async
from support.harnesses.event_files import MemoryLog
from support.harnesses.keda_client import KedaClient, keda_client
from support.ports import free_port
from tidegate.autoscaler.decided_number import DecidedNumber, NoNumberError
from tidegate.autoscaler.keda import external_scaler
from tidegate.autoscaler.keda.external_scaler import METRIC, SERVICE, ExternalScaler
from tidegate.autoscaler.keda.run import MAX_REQUESTS, external_scaler_server
from tidegate.autoscaler.types import Bounds
from tidegate.runtime.daemon import CannotStartError

WAIT_SECONDS = 10.0


@dataclass
class Scene:
    """An external scaler whose clock and decisions the test sets."""

    now: float = 0.0
    at_zero: bool = False
    port: int = field(default_factory=free_port)
    events: MemoryLog = field(default_factory=lambda: MemoryLog("autoscaler"))

    def __post_init__(self) -> None:
        self.decided = DecidedNumber(Bounds(0, 9), 20.0, lambda: self.now)
        log, clock = self.events.log, lambda: self.now
        self.scaler = ExternalScaler(
            self.decided, "model", "shop", log, lambda: self.at_zero, clock
        )


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """One that is served."""
    made = Scene()
    async with external_scaler_server(made.scaler, "127.0.0.1", made.port):
        yield made


@pytest.fixture
async def keda(scene: Scene) -> AsyncIterator[KedaClient]:
    async with keda_client(scene.port) as client:
        yield client


async def next_of(stream: Any) -> bool:
    async with asyncio.timeout(WAIT_SECONDS):
        return bool((await anext(stream)).result)


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value.code(), error.value.details() or ""


async def test_the_metric_is_the_decided_number_with_the_target_one(scene: Scene) -> None:
    async with keda_client(scene.port, deployment="model") as keda:
        assert await keda.metric_specs() == [(METRIC, 1.0)]
        for number in (3, 9, 0, 1):
            scene.decided.update(number)
            assert await keda.metrics() == number
            assert await keda.is_active() is (number > 0)


async def test_silent_connections_take_at_most_a_quarter_of_the_descriptors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    scene = Scene()
    scene.decided.update(3)
    with ExitStack() as stack:
        async with (
            external_scaler_server(scene.scaler, "127.0.0.1", scene.port),
            keda_client(scene.port, deployment="model") as keda,
        ):
            assert await keda.metrics() == 3
            address = ("127.0.0.1", scene.port)
            silent = [stack.enter_context(socket.create_connection(address)) for _ in range(40)]

            def refused(connection: socket.socket) -> bool:
                connection.setblocking(False)
                with suppress(BlockingIOError):
                    return connection.recv(100) == b""
                return False

            await eventually_async(lambda: sum(map(refused, silent)) >= 25)
            assert await keda.metrics() == 3


async def test_without_a_current_decision_it_answers_an_error(
    scene: Scene, keda: KedaClient
) -> None:
    def said(reason: str) -> tuple[grpc.StatusCode, str]:
        return grpc.StatusCode.UNAVAILABLE, f"the autoscaler {reason}"

    for call in (keda.metrics, keda.is_active):
        assert await refusal(call()) == said("has not decided yet")
    assert await keda.metric_specs() == [(METRIC, 1.0)]  # KEDA makes the HPA from it
    scene.decided.update(3)
    scene.now = 21.0
    for call in (keda.metrics, keda.is_active):
        assert await refusal(call()) == said("has not decided for 21 s")
    scene.decided.update(3)
    assert await keda.metrics() == 3
    scene.decided.update(4, dry_run=True)
    assert await refusal(keda.metrics()) == said("only records its decisions (dry run)")


@pytest.mark.parametrize(
    ("namespace", "metadata", "words"),
    [
        ("other", {}, "Deployment model in namespace shop, not about model in other; correct"),
        ("shop", {"deployment": "models"}, "not about models in shop; correct metadata deployment"),
        ("shop", {"treshold": "2"}, "unknown metadata treshold; expected"),
    ],
)
async def test_a_wrong_scaled_object_gets_the_reason_and_no_number(
    scene: Scene, namespace: str, metadata: dict[str, str], words: str
) -> None:
    scene.decided.update(3)
    async with keda_client(scene.port, namespace, **metadata) as wrong:
        calls = (wrong.metrics(), wrong.is_active(), wrong.metric_specs(), anext(wrong.stream()))
        for call in calls:
            code, said = await refusal(call)
            assert code == grpc.StatusCode.INVALID_ARGUMENT
            assert said.startswith(f"ScaledObject {namespace}/model: ")
            assert words in said
    assert scene.events.messages() == [said]
    async with keda_client(scene.port) as right:
        assert await right.metrics() == 3


async def test_any_number_of_wrong_names_leaves_a_line_in_ten_minutes(scene: Scene) -> None:
    scene.decided.update(3)
    for number in range(20):
        async with keda_client(scene.port, "other", f"{number}-{'x' * 15_000}") as wrong:
            code, text = await refusal(wrong.metrics())
            assert code == grpc.StatusCode.INVALID_ARGUMENT
            assert len(text) < 400
    assert len(scene.events.messages()) == 1
    scene.now = 601.0
    async with keda_client(scene.port, "late") as wrong:
        await refusal(wrong.metrics())
    assert scene.events.messages()[1].startswith("ScaledObject late/model: ")


async def test_too_large_a_request_is_refused(scene: Scene) -> None:
    async with keda_client(scene.port, deployment="x" * 17_000) as keda:
        assert (await refusal(keda.metrics()))[0] == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_idle_streams_do_not_keep_keda_out(scene: Scene, keda: KedaClient) -> None:
    scene.decided.update(1)
    idle = []
    for _ in range(100):  # one by one: a further one ends the oldest
        idle.append(keda.stream())
        assert await next_of(idle[-1]) is True
    async with keda_client(scene.port) as late:
        stream = late.stream()
        assert await next_of(stream) is True
        assert await late.metrics() == 1
        scene.decided.update(0)
        assert await next_of(stream) is False
    with pytest.raises(StopAsyncIteration):  # without an error, as KEDA then comes back in 2 s
        await next_of(idle[0])


def silent(keda: KedaClient) -> Any:
    """A request without a message."""
    return keda.channel.stream_unary(f"/{SERVICE}/IsActive")()


async def test_a_request_without_a_message_ends(
    keda: KedaClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external_scaler, "MESSAGE_SECONDS", 0.1)
    async with asyncio.timeout(WAIT_SECONDS):
        assert await silent(keda).code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_requests_without_a_message_do_not_keep_keda_out(
    scene: Scene, keda: KedaClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external_scaler, "MESSAGE_SECONDS", 10 * WAIT_SECONDS)
    scene.decided.update(1)

    for _ in range(3):
        calls = [silent(keda) for _ in range(MAX_REQUESTS)]
        await asyncio.gather(*(call.wait_for_connection() for call in calls))
    async with asyncio.timeout(WAIT_SECONDS), keda_client(scene.port) as late:
        for _ in range(20):
            assert await late.metrics() == 1
        assert await next_of(late.stream()) is True


@pytest.mark.parametrize("method", ["IsActive", "GetMetrics"])
async def test_a_message_that_cannot_be_decoded_is_refused_without_a_traceback(
    scene: Scene, keda: KedaClient, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    call: Any = keda.channel.unary_unary(f"/{SERVICE}/{method}")
    status, message = await refusal(call(b"\xff\xff", timeout=10))
    assert (status, "Error parsing" in message) == (grpc.StatusCode.INVALID_ARGUMENT, True)
    scene.decided.update(1)
    assert await keda.metrics() == 1
    assert caplog.text == ""


async def test_an_unknown_metric_is_refused(scene: Scene, keda: KedaClient) -> None:
    scene.decided.update(3)
    said = f"unknown metric 'other'; expected '{METRIC}'"
    assert await refusal(keda.metrics("other")) == (grpc.StatusCode.INVALID_ARGUMENT, said)


async def test_the_stream_waits_for_a_decision_and_pushes_each_change(
    scene: Scene, keda: KedaClient
) -> None:
    stream = keda.stream()
    first = asyncio.ensure_future(next_of(stream))
    assert (await refusal(keda.is_active()))[0] == grpc.StatusCode.UNAVAILABLE
    assert not first.done()
    scene.decided.update(0)
    assert await first is False
    for number, active in ((3, True), (0, False), (1, True)):
        scene.decided.update(number)
        assert await next_of(stream) is active


async def test_the_stream_repeats_itself_until_the_first_replica_is_started(
    scene: Scene, keda: KedaClient
) -> None:
    scene.at_zero = True
    scene.decided.update(0)
    stream = keda.stream()
    assert await next_of(stream) is False
    for _ in range(3):  # KEDA's request may have failed
        scene.decided.update(2)
        assert await next_of(stream) is True
    scene.at_zero = False
    scene.decided.update(2)
    scene.decided.update(0)
    assert await next_of(stream) is False


async def test_the_streams_end_without_an_error_when_the_autoscaler_stops() -> None:
    scene = Scene()
    async with keda_client(scene.port) as keda:
        async with external_scaler_server(scene.scaler, "127.0.0.1", scene.port):
            scene.decided.update(1)
            stream = keda.stream()
            assert await next_of(stream) is True
        with pytest.raises(StopAsyncIteration):
            await next_of(stream)


async def test_a_taken_port_names_its_setting(scene: Scene) -> None:
    with pytest.raises(CannotStartError, match=r"^autoscaler\.external_scaler_port: port"):
        async with external_scaler_server(Scene().scaler, "127.0.0.1", scene.port):
            pass


@given(
    st.tuples(st.integers(0, 5), st.integers(0, 5)),
    st.lists(st.tuples(st.integers(-3, 300), st.booleans(), st.floats(0, 60)), max_size=20),
)
def test_whatever_is_decided_the_number_is_within_the_bounds_or_an_error(
    limits: tuple[int, int], decisions: list[tuple[int, bool, float]]
) -> None:
    now, bounds = 0.0, Bounds(limits[0], limits[0] + limits[1])
    decided = DecidedNumber(bounds, 20.0, lambda: now)
    last_good = None
    for number, dry_run, seconds in decisions:
        decided.update(number, dry_run=dry_run)
        if bounds.clamp(number) == number:
            last_good = None if dry_run else (number, now)
        now += seconds
        try:
            found = decided.get()
        except NoNumberError:
            assert last_good is None or now - last_good[1] > 20.0
        else:
            assert last_good is not None
            assert found == last_good[0] == bounds.clamp(found)
            assert isinstance(found, int)
