"""Observes a request of any ASGI application, from its arrival to the last byte of its response.

It buffers no body. The event is written just before the last message of the response is passed to the
server, so that a killed process loses no event of a client that has its response. Frameworks send the
response to an exception while they handle it, so the event has it although it is raised later, or never.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from contextvars import Token
from dataclasses import dataclass, field

from opentelemetry.instrumentation.utils import suppress_http_instrumentation

from tidegate.telemetry.app_routes import AppRoutes
from tidegate.telemetry.asgi import (
    ASGIApp,
    Message,
    Receive,
    Scope,
    Send,
    ends_response,
    fault_behind,
    is_client_disconnect,
)
from tidegate.telemetry.logs import attach_ids
from tidegate.telemetry.propagation import format_traceparent
from tidegate.telemetry.request_record import (
    SCOPE_KEY,
    Active,
    RequestRecord,
    current_request,
)
from tidegate.telemetry.telemetry import Telemetry


class RequestMiddleware:
    """Wraps the whole application, including its error handling.

    Args:
        app: any ASGI application.
        telemetry: records its requests.
        routes: finds the route of a request.
    """

    def __init__(self, app: ASGIApp, telemetry: Telemetry, routes: AppRoutes) -> None:
        self.app = app
        self.telemetry = telemetry
        self._find_route = routes.find

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one request, pass a websocket through, or observe the lifespan."""
        if scope["type"] == "http":
            return self._serve(scope, receive, send)
        if scope["type"] == "lifespan":
            return self._lifespan(scope, receive, send)
        return self.app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        outer = scope.get(SCOPE_KEY)
        record = self.telemetry.begin(scope, self._find_route)
        scope[SCOPE_KEY] = record
        exchange = Exchange(record, receive, send, self.telemetry)
        token = current_request.set(record)
        try:
            if record.quiet:
                with suppress_http_instrumentation():
                    await self.app(scope, exchange.receive, exchange.send)
            else:
                await self.app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            exchange.raised(error)
            raise
        else:
            exchange.returned()
        finally:
            scope[SCOPE_KEY] = outer
            _leave(token)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def observing_send(message: Message) -> None:
            # The server may exit as soon as it has this message, so close first.
            if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                await asyncio.to_thread(self.telemetry.close)
            await send(message)

        self.telemetry.open()
        await self.app(scope, receive, observing_send)


@dataclass(slots=True, eq=False)
class Exchange:
    """The messages of one request and its response."""

    _record: RequestRecord
    _receive: Receive
    _send: Send
    _telemetry: Telemetry
    _status: int | None = None
    _trailers: bool = False
    _complete: bool = False
    _disconnected: bool = False
    _earlier: BaseException | None = field(default_factory=sys.exception)

    async def receive(self) -> Message:
        """Pass on a message of the client."""
        message = await self._receive()
        # Servers send it after each complete response, too: Django, for one, waits for it.
        if message["type"] == "http.disconnect" and not self._complete:
            self._disconnected = True
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """Pass on a message of the application; the last one ends the record."""
        kind = message["type"]
        if kind == "http.response.start":
            message = self._start(message)
        elif not self._complete:
            last = ends_response(message, trailers=self._trailers)
            if self._record.first_byte_ns is None and (last or message.get("body")):
                self._telemetry.first_byte(self._record)
            if last:
                self._complete = True
                if self._status is not None and self._status >= 500:
                    logged = self._record.logged
                    self._caught(
                        fault_behind(sys.exception(), self._earlier) or (logged and logged[0])
                    )
                self._end()
        return self._send(message)

    def returned(self) -> None:
        """The application has returned."""
        if not (self._complete or self._disconnected):
            record = self._record
            if self._status is None:
                record.status = 500  # the response of the server in this case
                record.broken = "the application returned without a response"
            else:
                record.broken = "the application returned before its response was complete"
        self._end()

    def raised(self, error: BaseException) -> None:
        """The application has raised an exception."""
        if not self._complete:
            if self._status is None and isinstance(error, Exception):
                self._record.status = 500  # the response of the server in this case
            self._caught(error)
            self._end()
        attach_ids(error, (self._record.trace_id, self._record.span_id))

    def _caught(self, error: BaseException | None) -> None:
        """Note the exception that ended the response."""
        if error is not None and is_client_disconnect(error):
            self._disconnected = True
        if self._disconnected and self._status in (None, 500):
            self._record.status = None  # nobody receives it
        if error is not None:
            self._record.exception = error

    def _start(self, message: Message) -> Message:
        record = self._record
        self._status = int(message["status"])
        self._trailers = bool(message.get("trailers", False))
        if not self._disconnected:  # otherwise nobody receives it
            record.status = self._status
        if record.quiet:
            return message  # the header says that there is an event
        if record.parent is not None and not record.parent.remote:
            return message  # the outer application sends the header
        sampled = self._telemetry.is_sampled(record)
        value = format_traceparent(record.trace_id, record.span_id, sampled=sampled)
        headers = [*message.get("headers", ()), (b"traceresponse", value.encode())]
        return {**message, "headers": headers}

    def _end(self) -> None:
        record = self._record
        if record.finished:
            return
        record.aborted = self._disconnected
        error, logged = record.exception, record.logged
        if error is not None and not (record.aborted or record.quiet):
            attach_ids(error, (record.trace_id, record.span_id), recorded=True)
        if logged is not None:
            record.logged = None
            if logged[0] is not error:
                logged[1]()
        self._telemetry.finish(record)


def _leave(token: Token[Active | None]) -> None:
    try:
        current_request.reset(token)
    except ValueError:
        # The coroutine was abandoned, and is closed in another context than it ran in.
        current_request.set(None)
