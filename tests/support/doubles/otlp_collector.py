"""An OTLP endpoint on this machine: an HTTP server that decodes and keeps what exporters send."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from support.doubles.aiohttp_server import serving


class OtlpCollector:
    """An OTLP endpoint that records its requests, and can refuse them."""

    def __init__(self) -> None:
        self.url = ""
        self.bodies: list[bytes] = []
        self.requests: list[tuple[str, dict[str, str], ExportTraceServiceRequest]] = []
        self.refused: list[ExportTraceServiceRequest] = []
        self.status = 200

    async def receive(self, http: web.Request) -> web.Response:
        self.bodies.append(await http.read())
        request = ExportTraceServiceRequest.FromString(self.bodies[-1])
        if self.status == 200:
            headers = {name.lower(): value for name, value in http.headers.items()}
            self.requests.append((http.path, headers, request))
        else:
            self.refused.append(request)
        answer = ExportTraceServiceResponse().SerializeToString()
        return web.Response(status=self.status, body=answer)

    def spans(self) -> list[Any]:
        return spans_of(request for _, _, request in self.requests)

    def resource(self) -> dict[str, str]:
        attributes = self.requests[0][2].resource_spans[0].resource.attributes
        return {attribute.key: attribute.value.string_value for attribute in attributes}


@contextmanager
def otlp_collector() -> Iterator[OtlpCollector]:
    """One that listens on a free port."""
    collector, app = OtlpCollector(), web.Application()
    app.router.add_post("/{path:.*}", collector.receive)
    with serving(app) as collector.url:
        yield collector


def spans_of(requests: Iterable[ExportTraceServiceRequest]) -> list[Any]:
    return [
        span
        for request in requests
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
