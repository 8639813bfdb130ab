"""What KEDA calls, over a real gRPC connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from tidegate.autoscaler.keda import externalscaler_pb2 as pb
from tidegate.autoscaler.keda.external_scaler import METRIC, SERVICE


@dataclass(frozen=True)
class KedaClient:
    """KEDA's side: one ScaledObject and the connection of its trigger."""

    channel: grpc.aio.Channel
    reference: pb.ScaledObjectRef

    async def is_active(self) -> bool:
        answer = await self._unary("IsActive", self.reference, pb.IsActiveResponse)
        return bool(answer.result)

    async def metric_specs(self) -> list[tuple[str, float]]:
        answer = await self._unary("GetMetricSpec", self.reference, pb.GetMetricSpecResponse)
        return [(one.metricName, one.targetSizeFloat) for one in answer.metricSpecs]

    async def metrics(self, name: str = METRIC) -> float:
        request = pb.GetMetricsRequest(scaledObjectRef=self.reference, metricName=name)
        answer = await self._unary("GetMetrics", request, pb.GetMetricsResponse)
        (value,) = answer.metricValues
        assert value.metricName == name
        assert value.metricValue == value.metricValueFloat
        return float(value.metricValueFloat)

    def stream(self, method: str = "StreamIsActive") -> Any:
        """The open stream: an iterator of messages."""
        call = self.channel.unary_stream(
            f"/{SERVICE}/{method}",
            request_serializer=pb.ScaledObjectRef.SerializeToString,
            response_deserializer=pb.IsActiveResponse.FromString,
        )
        return aiter(call(self.reference))

    async def _unary(self, method: str, request: Any, answer: Any) -> Any:
        call = self.channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        return await call(request, timeout=10.0)


@asynccontextmanager
async def keda_client(
    port: int,
    namespace: str = "shop",
    name: str = "model",
    credentials: grpc.ChannelCredentials | None = None,
    /,
    **metadata: str,
) -> AsyncIterator[KedaClient]:
    """A ScaledObject whose trigger has this port's address, and this metadata besides."""
    address = f"127.0.0.1:{port}"
    reference = pb.ScaledObjectRef(
        name=name, namespace=namespace, scalerMetadata={"scalerAddress": address, **metadata}
    )
    async with (
        grpc.aio.secure_channel(address, credentials)
        if credentials
        else grpc.aio.insecure_channel(address)
    ) as channel:
        yield KedaClient(channel, reference)
