"""Whatever clients and applications do, no slot is lost, and no more requests are served than there are."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from support.components import examples
from support.samples.asgi_apps import http_scope
from tidegate.serving import SlotMetrics, Slots
from tidegate.serving.slot_paths import SlotPaths
from tidegate.serving.slots_middleware import SlotsMiddleware
from tidegate.settings import Settings
from tidegate.telemetry.asgi import Message

ENDINGS: Final = ("complete", "stream", "raise", "return", "task")
STEPS: Final = ("arrive", "disconnect", "cancel", "let", "resize")


@dataclass
class Request:
    """One request: how the application ends it, and what has happened to it."""

    ending: str
    task: asyncio.Task[None] = field(init=False)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    let: asyncio.Event = field(default_factory=asyncio.Event)
    in_application: bool = False
    responded: bool = False


class Run:
    """Requests at a middleware, and the largest number that held a slot at once."""

    def __init__(self, count: int, wait_length: int) -> None:
        metrics = SlotMetrics(CollectorRegistry())
        self.slots = Slots(count, wait_length=wait_length, wait_seconds=60, metrics=metrics)
        self.middleware = SlotsMiddleware(self.app, self.slots, SlotPaths(Settings(), self.app))
        self.requests: list[Request] = []
        self.holding = 0

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        request: Request = scope["request"]
        self.holding += 1
        request.in_application = True
        try:
            await request.let.wait()
            if request.ending == "raise":
                raise ValueError("no")
            if request.ending != "return":
                await send({"type": "http.response.start", "status": 200})
                if request.ending == "stream":
                    await send({"type": "http.response.body", "more_body": True})
                    await asyncio.sleep(0)
                self.holding -= 1  # the slot ends with this message
                request.in_application = False
                await send({"type": "http.response.body"})
                if request.ending == "task":
                    await asyncio.sleep(0)
        finally:
            if request.in_application:
                self.holding -= 1

    def arrive(self, ending: str) -> None:
        request = Request(ending)
        body: list[Message] = [{"type": "http.request", "body": b"x", "more_body": False}]

        async def receive() -> Message:
            if body:
                return body.pop()
            await request.gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            request.responded = True

        scope = {**http_scope("/predict"), "request": request}
        request.task = asyncio.ensure_future(self.middleware(scope, receive, send))
        self.requests.append(request)

    async def step(self, step: str, number: int) -> None:
        if step == "arrive":
            self.arrive(ENDINGS[number % len(ENDINGS)])
        elif step == "resize":
            self.slots.resize(1 + number % 4)
        elif self.requests:
            request = self.requests[number % len(self.requests)]
            if step == "disconnect":
                request.gone.set()
            elif step == "let":
                request.let.set()
            else:
                request.task.cancel()
        if number % 3:  # else the next step happens at the same moment
            await self.settle()

    async def settle(self) -> None:
        for _ in range(12):
            await asyncio.sleep(0)

    async def finish(self) -> None:
        for request in self.requests:
            request.let.set()
        tasks = [request.task for request in self.requests]
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30)
        await self.settle()


@settings(max_examples=examples(150))
@given(
    count=st.integers(1, 3),
    wait_length=st.integers(0, 4),
    steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 30)), max_size=30),
)
def test_no_slot_is_lost_and_none_is_held_twice(
    count: int, wait_length: int, steps: list[tuple[str, int]]
) -> None:
    async def run_steps() -> None:
        run = Run(count, wait_length)
        allowed = count
        for step, number in steps:
            await run.step(step, number)
            # After a reduction, requests in slots go on.
            allowed = max(run.slots.count, min(allowed, run.holding))
            assert run.holding <= allowed
            assert run.holding <= run.slots.busy
        await run.finish()
        assert (run.slots.busy, run.slots.waiting, run.holding) == (0, 0, 0)

    asyncio.run(run_steps())
