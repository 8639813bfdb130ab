"""Receives OTLP over HTTP before Elasticsearch, as its own endpoint for logs does.

The distribution that the tests run has none. It is transparent: what Elasticsearch answers, also by breaking
the connection, is what the client gets, and documents have no id but the one that Elasticsearch gives.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final

import aiohttp
from aiohttp import web

from support.doubles.aiohttp_server import serving

_SESSION: Final = web.AppKey("session", aiohttp.ClientSession)


def otlp_endpoint(elasticsearch: str, index: str) -> AbstractContextManager[str]:
    """An endpoint that writes the bodies of log records to an index; yields its URL."""

    async def logs(request: web.Request) -> web.Response:
        lines = [part for line in _bodies(await request.json()) for part in ('{"create":{}}', line)]
        body = "\n".join([*lines, ""])
        try:
            async with request.app[_SESSION].post(
                f"{elasticsearch}/{index}/_bulk",
                data=body,
                headers={"Content-Type": "application/x-ndjson"},
            ) as answer:
                found = await answer.json()
                status = answer.status
        except aiohttp.ClientError:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)  # which nobody receives
        if status == 200 and found["errors"]:
            status = max(item["create"]["status"] for item in found["items"])
        return web.json_response({}, status=status)

    app = web.Application(client_max_size=2**27)
    app.router.add_post("/v1/logs", logs)
    app.cleanup_ctx.append(_session)
    return serving(app, shutdown_timeout=0.1)


def _bodies(document: dict[str, Any]) -> Iterator[str]:
    for resource in document["resourceLogs"]:
        for scope in resource["scopeLogs"]:
            for record in scope["logRecords"]:
                yield json.dumps(json.loads(record["body"]["stringValue"]))


async def _session(app: web.Application) -> AsyncIterator[None]:
    async with aiohttp.ClientSession() as session:
        app[_SESSION] = session
        yield
