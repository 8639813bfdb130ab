"""The gateway: whether it is ready, and whether the events of a request arrive in the event store."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Final

from tidegate.checks.running.target import Target
from tidegate.events.event import Event
from tidegate.provision.errors import ProvisionError
from tidegate.provision.request_example import Row, example_row, get_path
from tidegate.runtime.check_results import Result, failed, ok, skipped
from tidegate.runtime.http_client import HttpClient, HttpError
from tidegate.settings import Settings
from tidegate.store import open_store
from tidegate.store.base import EventStore, SearchRequest

DELIVERY_SECONDS: Final = 30.0
"""Maximum time from the response until the events are in the store."""
POLL_SECONDS: Final = 0.3
NOT_OWN: Final = frozenset({"/live", "/ready", "/metrics"})
REQUEST, ACCESS, SPANS = "request line", "access line", "spans"


async def check(target: Target) -> list[Result]:
    """Check that a replica is ready, then send one request and look for its events."""
    gateway = target.client(target.gateway)
    ready = target.settings.replicas.ready_path
    await gateway.call("GET", ready)
    return [
        ok("ready", f"{target.gateway}{ready} responded with status 200"),
        *(await _check_request(target, gateway)),
    ]


async def _check_request(target: Target, gateway: HttpClient) -> list[Result]:
    trace_id = secrets.token_hex(16)
    sent = await _send(target.settings, gateway, trace_id)
    with closing(open_store(target.settings, read_only=True)) as store:
        found, seconds = await _events(target.settings, store, trace_id)
    results = [sent]
    for name, number in found.items():
        if name == SPANS and target.settings.telemetry.tracing == "off":
            results.append(skipped(name, "telemetry.tracing is off: no spans are recorded"))
        elif number:
            results.append(ok(name, f"found in the event store after {seconds:.1f} s"))
        elif name != ACCESS and target.settings.replicas.command:
            text = (
                "replicas.command wrote none: docs/reference/replica-contract.md says what it needs"
            )
            results.append(skipped(name, text))
        else:
            results.append(
                failed(
                    name, f"not in the event store within {DELIVERY_SECONDS:g} s, trace {trace_id}"
                )
            )
    return results


async def _send(settings: Settings, gateway: HttpClient, trace_id: str) -> Result:
    """Send the request of the settings, by default the model's example."""
    path, body = settings.verify.path, settings.verify.body
    # Without tidegate.telemetry: it needs Starlette, which this program's image does not have.
    headers = {"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"}
    name = "request" if path or body or settings.replica_program else "prediction"
    hint = ""
    began = time.perf_counter()
    if name == "prediction":
        row = await _example(gateway)
        began = time.perf_counter()
        await gateway.call("POST", "/predict", json={"instances": [row]}, headers=headers)
        answered = "answered"
    else:
        if not path:
            path, hint = await own_path(settings, gateway)
            began = time.perf_counter()
        status = await _send_any(gateway, path, body, headers)
        answered = f"{path} answered with status {status}"
    milliseconds = (time.perf_counter() - began) * 1e3
    return ok(name, f"{answered} in {milliseconds:.0f} ms, trace {trace_id}{hint}")


async def own_path(settings: Settings, gateway: HttpClient) -> tuple[str, str]:
    """The path of a GET to an application, and what to set if it has none that is sure to be its own."""
    probes = {settings.replicas.ready_path, *settings.telemetry.quiet_paths}
    try:
        found = get_path(await gateway.call("GET", "/openapi.json"), probes | NOT_OWN)
    except HttpError as error:
        if error.status is None or error.status >= 500:
            raise
        found = None
    if found:
        return found, ""
    return "/", "; no GET route without parameters was found: set verify.path to a request of yours"


async def _send_any(gateway: HttpClient, path: str, body: str, headers: Mapping[str, str]) -> int:
    """Send a request to an application, whose paths are not known."""
    if not body:
        return await gateway.status("GET", path, headers=headers)
    typed = {**headers, "Content-Type": "application/json"}
    return await gateway.status("POST", path, data=body.encode(), headers=typed)


async def _example(gateway: HttpClient) -> Row:
    try:
        return example_row(await gateway.call("GET", "/openapi.json"), gateway.url)
    except ProvisionError as error:
        raise HttpError(str(error)) from error


async def _events(
    settings: Settings, store: EventStore, trace_id: str
) -> tuple[dict[str, int], float]:
    """Wait for all kinds of events of the trace; the number of each kind, and the seconds that it took."""
    began = time.monotonic()
    # The gateway leaves no event of a request that a replica has recorded.
    kinds = (REQUEST, ACCESS, SPANS) if settings.replicas.command else (REQUEST, SPANS)
    expected = [name for name in kinds if name != SPANS or settings.telemetry.tracing != "off"]
    request = SearchRequest(query=f'trace.id:"{trace_id}"', size=100)
    while True:
        events = (await asyncio.to_thread(store.search, request)).hits
        found = {name: sum(_is(name, event) for event in events) for name in kinds}
        seconds = time.monotonic() - began
        if all(found[name] for name in expected) or seconds >= DELIVERY_SECONDS:
            return found, seconds
        await asyncio.sleep(POLL_SECONDS)


def _is(name: str, event: Event) -> bool:
    if name == SPANS:
        return bool(event["data_stream"]["type"] == "traces")
    dataset = {REQUEST: "tidegate.request", ACCESS: "tidegate.access"}[name]
    return bool(event["event"]["dataset"] == dataset)
