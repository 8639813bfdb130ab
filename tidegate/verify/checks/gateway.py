"""The gateway: whether it is ready, and whether the events of a request arrive in the event store."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import closing
from typing import Final

from tidegate.events.event import Event
from tidegate.provision.errors import ProvisionError
from tidegate.provision.first_requests import example_row
from tidegate.settings import Settings
from tidegate.store import open_store
from tidegate.store.base import EventStore, SearchRequest
from tidegate.verify.component_client import ComponentClient, ComponentError
from tidegate.verify.results import Result, failed, ok, skipped
from tidegate.verify.target import Target

DELIVERY_SECONDS: Final = 30.0
"""Maximum time from the response until the events are in the store."""
POLL_SECONDS: Final = 0.3
REQUEST, ACCESS, SPANS = "request line", "access line", "spans"


async def check(target: Target) -> list[Result]:
    """Check `/ready`, then send one prediction and look for its events."""
    gateway = target.client(target.gateway)
    await gateway.call("GET", "/ready")
    return [
        ok("ready", f"{target.gateway}/ready responded with status 200"),
        *(await _check_prediction(target, gateway)),
    ]


async def _check_prediction(target: Target, gateway: ComponentClient) -> list[Result]:
    trace_id = secrets.token_hex(16)
    milliseconds = await _predict(gateway, trace_id)
    sent = ok("prediction", f"answered in {milliseconds:.0f} ms, trace {trace_id}")
    with closing(open_store(target.settings, read_only=True)) as store:
        found, seconds = await _events(target.settings, store, trace_id)
    results = [sent]
    for name, number in found.items():
        if name == SPANS and target.settings.telemetry.tracing == "off":
            results.append(skipped(name, "telemetry.tracing is off: no spans are recorded"))
        elif number:
            results.append(ok(name, f"found in the event store after {seconds:.1f} s"))
        else:
            results.append(
                failed(
                    name, f"not in the event store within {DELIVERY_SECONDS:g} s, trace {trace_id}"
                )
            )
    return results


async def _predict(gateway: ComponentClient, trace_id: str) -> float:
    """Send the model's example; return the response time in milliseconds."""
    try:
        row = example_row(await gateway.call("GET", "/openapi.json"), gateway.url)
    except ProvisionError as error:
        raise ComponentError(str(error)) from error
    # Without tidegate.telemetry: it needs Starlette, which this program's image does not have.
    traceparent = f"00-{trace_id}-{secrets.token_hex(8)}-01"
    began = time.perf_counter()
    await gateway.call(
        "POST", "/predict", json={"instances": [row]}, headers={"traceparent": traceparent}
    )
    return (time.perf_counter() - began) * 1e3


async def _events(
    settings: Settings, store: EventStore, trace_id: str
) -> tuple[dict[str, int], float]:
    """Wait for all kinds of events of the trace; the number of each kind, and the seconds that it took."""
    began = time.monotonic()
    expected = (
        {REQUEST, ACCESS} if settings.telemetry.tracing == "off" else {REQUEST, ACCESS, SPANS}
    )
    request = SearchRequest(query=f'trace.id:"{trace_id}"', size=100)
    while True:
        events = (await asyncio.to_thread(store.search, request)).hits
        found = {
            name: sum(_is(name, event) for event in events) for name in (REQUEST, ACCESS, SPANS)
        }
        seconds = time.monotonic() - began
        if all(found[name] for name in expected) or seconds >= DELIVERY_SECONDS:
            return found, seconds
        await asyncio.sleep(POLL_SECONDS)


def _is(name: str, event: Event) -> bool:
    if name == SPANS:
        return bool(event["data_stream"]["type"] == "traces")
    dataset = {REQUEST: "tidegate.request", ACCESS: "tidegate.access"}[name]
    return bool(event["event"]["dataset"] == dataset)
