"""The gRPC service that KEDA asks.

KEDA counts an error as "not known": it keeps the present number, or follows the `fallback` of the
ScaledObject. It takes NaN and negative values for zero. So each answer is the number of the last decision or
an error.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from tidegate.autoscaler.decided_number import DecidedNumber, NoNumberError
from tidegate.autoscaler.keda import externalscaler_pb2 as pb
from tidegate.runtime.event_log import EventLog

METRIC: Final = "tidegate-desired-replicas"
SERVICE: Final = "externalscaler.ExternalScaler"
# A replica for each unit of the metric: with AverageValue the HPA's number is the decided one.
TARGET: Final = 1
# Those of KEDA's external scalers, which it passes on, and one of ours.
KNOWN_KEYS: Final = ("scalerAddress", "enableTLS", "unsafeSsl", "deployment")
# Any client can send any names: a message has this much of each, and one is logged in this time.
SHOWN_CHARACTERS: Final = 63
LOG_SECONDS: Final = 600.0
# KEDA has one per ScaledObject. A further one ends the oldest, so that idle ones do not keep KEDA out.
MAX_STREAMS: Final = 8
# For the message of a request, so that a request without one ends; KEDA sends it at once. Here, too, a
# further one ends the oldest.
MESSAGE_SECONDS: Final = 5.0
MAX_WAITING: Final = 32

Context = grpc.aio.ServicerContext


@dataclass(slots=True)
class ExternalScaler:
    """Answers KEDA."""

    decided: DecidedNumber
    deployment: str
    namespace: str
    event_log: EventLog
    is_at_zero: Callable[[], bool]
    clock: Callable[[], float] = time.monotonic
    _logged_at: float = field(default=-math.inf, init=False)
    _streams: deque[asyncio.Event] = field(default_factory=deque, init=False)
    _waiting: deque[asyncio.Timeout] = field(default_factory=deque, init=False)

    def handlers(self) -> grpc.GenericRpcHandler:
        """The methods of the service, by their names."""
        # As methods that take a stream, which is the same on the wire: gRPC itself waits without a limit for
        # the one message of a request, which counts as open all the time.
        # And gRPC gets bytes: it logs the traceback of each message that it cannot decode.
        unary, streaming = (
            grpc.stream_unary_rpc_method_handler,
            grpc.stream_stream_rpc_method_handler,
        )
        reference, metrics = pb.ScaledObjectRef.FromString, pb.GetMetricsRequest.FromString
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "IsActive": unary(self._answer(self.is_active, reference), None, _encode),
                "StreamIsActive": streaming(
                    self._stream(self.stream_is_active, reference), None, _encode
                ),
                "GetMetricSpec": unary(
                    self._answer(self.get_metric_spec, reference), None, _encode
                ),
                "GetMetrics": unary(self._answer(self.get_metrics, metrics), None, _encode),
            },
        )

    def close(self) -> None:
        """End the open streams without an error: KEDA opens them again sooner than after one."""
        for ended in self._streams:
            ended.set()

    async def is_active(
        self, request: pb.ScaledObjectRef, context: Context[Any, Any]
    ) -> pb.IsActiveResponse:
        """Whether at least one replica is decided."""
        await self._check(request, context)
        return pb.IsActiveResponse(result=await self._number(context) > 0)

    async def stream_is_active(
        self, request: pb.ScaledObjectRef, context: Context[Any, Any]
    ) -> AsyncIterator[pb.IsActiveResponse]:
        """The same at each change, and with each decision while KEDA has not started the first replica."""
        await self._check(request, context)
        sent: bool | None = None
        ended = asyncio.Event()
        self._streams.append(ended)
        if len(self._streams) > MAX_STREAMS:
            self._streams.popleft().set()
        try:
            while not ended.is_set():
                next_decision = self.decided.next_decision
                with suppress(NoNumberError):
                    active = self.decided.get() > 0
                    if active != sent or (active and self.is_at_zero()):
                        yield pb.IsActiveResponse(result=active)
                        sent = active
                await _first_of(next_decision, ended)
        finally:
            with suppress(ValueError):  # it was the oldest
                self._streams.remove(ended)

    async def get_metric_spec(
        self, request: pb.ScaledObjectRef, context: Context[Any, Any]
    ) -> pb.GetMetricSpecResponse:
        """The one metric and its target."""
        await self._check(request, context)
        spec = pb.MetricSpec(metricName=METRIC, targetSize=TARGET, targetSizeFloat=float(TARGET))
        return pb.GetMetricSpecResponse(metricSpecs=[spec])

    async def get_metrics(
        self, request: pb.GetMetricsRequest, context: Context[Any, Any]
    ) -> pb.GetMetricsResponse:
        """The decided number."""
        await self._check(request.scaledObjectRef, context)
        if request.metricName != METRIC:
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"unknown metric {_shown(request.metricName)!r}; expected {METRIC!r}",
            )
        number = await self._number(context)
        value = pb.MetricValue(
            metricName=METRIC, metricValue=number, metricValueFloat=float(number)
        )
        return pb.GetMetricsResponse(metricValues=[value])

    async def _check(self, request: pb.ScaledObjectRef, context: Context[Any, Any]) -> None:
        """Refuse a wrong ScaledObject, which must not get this Deployment's number."""
        problem = self._problem_with(request)
        if not problem:
            return
        name = f"{_shown(request.namespace)}/{_shown(request.name)}"
        message = f"ScaledObject {name}: {problem}"
        if self.clock() - self._logged_at >= LOG_SECONDS:
            self._logged_at = self.clock()
            self.event_log.record("keda", message, level="warn")
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, message)

    def _problem_with(self, request: pb.ScaledObjectRef) -> str:
        """What is wrong, and what to do; a ScaledObject scales within its own namespace only."""
        asked = request.scalerMetadata.get("deployment", self.deployment)
        if (asked, request.namespace) != (self.deployment, self.namespace):
            return (
                f"this autoscaler decides about Deployment {self.deployment} in namespace {self.namespace},"
                f" not about {_shown(asked)} in {_shown(request.namespace)}; correct metadata deployment or"
                " scalerAddress"
            )
        unknown = sorted(set(request.scalerMetadata) - set(KNOWN_KEYS))
        if unknown:
            return f"unknown metadata {_shown(unknown[0])}; expected {', '.join(KNOWN_KEYS)}"
        return ""

    async def _number(self, context: Context[Any, Any]) -> int:
        try:
            return self.decided.get()
        except NoNumberError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))

    def _answer(
        self,
        method: Callable[[Any, Context[Any, Any]], Awaitable[Any]],
        decode: Callable[[bytes], Any],
    ) -> Any:
        async def answer(requests: AsyncIterator[bytes], context: Context[Any, Any]) -> Any:
            return await method(await self._message(requests, context, decode), context)

        return answer

    def _stream(
        self,
        method: Callable[[Any, Context[Any, Any]], AsyncIterator[Any]],
        decode: Callable[[bytes], Any],
    ) -> Any:
        async def stream(
            requests: AsyncIterator[bytes], context: Context[Any, Any]
        ) -> AsyncIterator[Any]:
            async for answer in method(await self._message(requests, context, decode), context):
                yield answer

        return stream

    async def _message(
        self,
        requests: AsyncIterator[bytes],
        context: Context[Any, Any],
        decode: Callable[[bytes], Any],
    ) -> Any:
        limit = asyncio.timeout(MESSAGE_SECONDS)
        try:
            async with limit:
                self._waiting.append(limit)
                if len(self._waiting) > MAX_WAITING and not self._waiting[0].expired():
                    self._waiting.popleft().reschedule(0.0)
                return decode(await anext(requests))
        except (TimeoutError, StopAsyncIteration):
            problem = "the request has no message, or none in time"
        except DecodeError as error:
            problem = str(error)
        finally:
            with suppress(ValueError):  # it was the oldest
                self._waiting.remove(limit)
        return await context.abort(grpc.StatusCode.INVALID_ARGUMENT, problem)


def _shown(text: str) -> str:
    return text[:SHOWN_CHARACTERS]


async def _first_of(*events: asyncio.Event) -> None:
    """Return when one of the events is set."""
    waits = [asyncio.create_task(one.wait()) for one in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waits:
            one.cancel()


def _encode(message: Any) -> bytes:
    return bytes(message.SerializeToString())
