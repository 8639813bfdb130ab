"""The time to the first byte of a stream, as the slots of a replica measure it."""

from __future__ import annotations

from typing import Any, Literal

import httpx
import pytest
from prometheus_client import CollectorRegistry

from tidegate.serving import SlotMetrics, Slots
from tidegate.serving.slot_paths import SlotPaths
from tidegate.serving.slots_middleware import SlotsMiddleware
from tidegate.settings import Settings, Slo
from tidegate.telemetry.asgi import Receive, Scope, Send


@pytest.mark.parametrize("until", ["last_byte", "first_byte"])
async def test_a_stream_is_measured_at_its_first_byte_while_it_holds_its_slot(
    until: Literal["last_byte", "first_byte"],
) -> None:
    registry = CollectorRegistry()
    slots = Slots(
        1, wait_length=0, wait_seconds=1.0, metrics=SlotMetrics(registry, Slo(until=until))
    )
    seen: list[dict[str, Any]] = []

    def note() -> None:
        first, whole = (
            registry.get_sample_value(f"tidegate_slot_{name}seconds_count")
            for name in ("first_byte_", "")
        )
        seen.append({"first": first, "whole": whole, "busy": slots.busy})

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        note()
        for _ in range(2):
            await send({"type": "http.response.body", "body": b"piece", "more_body": True})
            note()
        await send({"type": "http.response.body", "body": b"last"})
        note()

    transport = httpx.ASGITransport(SlotsMiddleware(app, slots, SlotPaths(Settings(), app)))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        assert (await client.get("/stream")).content == b"piecepiecelast"
    first = [0, 1, 1, 1] if until == "first_byte" else [None] * 4
    assert [one["first"] for one in seen] == first
    assert [(one["whole"], one["busy"]) for one in seen] == [(0, 1), (0, 1), (0, 1), (1, 0)]
