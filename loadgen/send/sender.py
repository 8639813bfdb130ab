"""The open-loop sender: each request is sent at its planned time, regardless of the others."""

from __future__ import annotations

import asyncio
import errno
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from yarl import URL

from tidegate.loadgen.plan.checks import Check
from tidegate.loadgen.plan.plan import PlannedRequest
from tidegate.loadgen.send.record import FAILED_STATUS, Recording
from tidegate.loadgen.send.timer import AbsoluteTimer

LEAD_SECONDS: Final = 0.2
"""Time from the call to the start of the plan, so that the first request is not late."""
GRACE_SECONDS: Final = 5.0
"""Maximum time that an interrupted run waits for outstanding responses."""
# Below the 5 s of uvicorn, the shortest keep-alive of the common servers. Otherwise a request could be sent
# on a connection that the server is closing.
KEEPALIVE_SECONDS: Final = 4.0
TRACERESPONSE: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
ERRNO: Final = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "disconnected",
    errno.EPIPE: "disconnected",
    errno.EMFILE: "too many open files",
}
# The first match applies; the classes overlap.
CATEGORIES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (TimeoutError, "timeout"),
    (aiohttp.ClientPayloadError, "incomplete answer"),
    (aiohttp.ClientConnectorError, "no connection"),
    (aiohttp.ServerDisconnectedError, "disconnected"),
    (ConnectionError, "disconnected"),
    (aiohttp.ClientResponseError, "not HTTP"),
)
JSON: Final = "application/json"
CHECKED_BYTES: Final = 2**20
"""What checks see of a body."""
HEADERS: Final = {
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "User-Agent": "tidegate-loadgen",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a run."""

    timeout_seconds: float = 60.0
    """Timeout of a request."""
    in_flight: int = 10_000
    """Maximum number of requests in flight; further ones fail immediately without being sent."""


@dataclass(frozen=True, slots=True)
class Target:
    """What the requests of one kind have in common."""

    url: URL
    bodies: Sequence[bytes] = ()
    """They take these in turn; without, they have none."""
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    checks: Sequence[Check] = ()
    """What each response must pass; without one of the status, that has to be a 2xx."""

    def body(self, number: int) -> bytes | None:
        """The body of a request by its number in the plan."""
        return self.bodies[number % len(self.bodies)] if self.bodies else None

    def problem(self, status: int, body: bytes) -> str:
        """Why a response counts as failed; empty if it does not."""
        if status >= FAILED_STATUS and not any(check.of == "status" for check in self.checks):
            return f"HTTP {status}"
        failed = (check for check in self.checks if not check.passes(status, body))
        return next((f"check {check.text}" for check in failed), "")


@dataclass(slots=True)
class OpenLoop:
    """Sends the requests of a plan, and records their results."""

    plan: Sequence[PlannedRequest]
    targets: Mapping[str, Target]
    """The target of each kind of request."""
    recording: Recording
    limits: Limits
    start: float = field(default_factory=lambda: time.monotonic() + LEAD_SECONDS, init=False)
    """The start of the plan, in seconds of `time.monotonic()`."""
    interrupted: bool = field(default=False, init=False)
    """Whether `stop` was called before the end."""
    _in_flight: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _sending: asyncio.Task[None] | None = field(default=None, init=False)
    _internal_error: BaseException | None = field(default=None, init=False)
    _stop_immediately: bool = field(default=False, init=False)
    _changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def run(self) -> None:
        """Send the plan, and return when all requests have ended."""
        self.start = time.monotonic() + LEAD_SECONDS
        connector = aiohttp.TCPConnector(
            limit=0, keepalive_timeout=KEEPALIVE_SECONDS, ttl_dns_cache=None
        )
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=self.limits.timeout_seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=HEADERS,
        ) as session:
            self._sending = asyncio.create_task(self._send_all(session))
            await asyncio.wait({self._sending})
            if not self._sending.cancelled():
                self._sending.result()
            await self._drain()

    def stop(self) -> None:
        """Stop sending, and wait up to GRACE_SECONDS for responses; a second call ends the wait."""
        self._stop_immediately = self.interrupted
        self.interrupted = True
        self._changed.set()
        if self._sending is not None:
            self._sending.cancel()

    async def _send_all(self, session: aiohttp.ClientSession) -> None:
        with AbsoluteTimer() as timer:
            for row, planned in enumerate(self.plan):
                target = self.targets[planned.kind]
                await timer.wait_until(self.start + planned.at)
                if len(self._in_flight) >= self.limits.in_flight:
                    self.recording.fail(row, self._now(), "too many in flight")
                    continue
                task = asyncio.create_task(self._send(session, row, target, planned.body))
                self._in_flight.add(task)
                task.add_done_callback(self._ended)

    async def _send(
        self, session: aiohttp.ClientSession, row: int, target: Target, number: int
    ) -> None:
        recording = self.recording
        body, keep = b"", any(check.needs_body for check in target.checks)
        recording.sent[row] = self._now()
        try:
            async with session.request(
                target.method,
                target.url,
                data=target.body(number),
                headers=target.headers,
                allow_redirects=False,
            ) as answer:
                async for part in answer.content.iter_any():
                    if math.isnan(recording.first_byte[row]):
                        recording.first_byte[row] = self._now()
                    if keep and len(body) < CHECKED_BYTES:
                        body += part
                finished = self._now()
                match = TRACERESPONSE.fullmatch(answer.headers.get("traceresponse", ""))
                problem = target.problem(answer.status, body)
                recording.answer(row, finished, answer.status, match[1] if match else "", problem)
        except (aiohttp.ClientError, OSError) as error:
            recording.fail(row, self._now(), category(error))
        except asyncio.CancelledError:
            recording.interrupt(row)
            raise

    async def _drain(self) -> None:
        """Wait for outstanding responses."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + self.limits.timeout_seconds + GRACE_SECONDS
        while self._in_flight and not self._stop_immediately:
            self._changed.clear()
            if self.interrupted:
                deadline = min(deadline, clock() + GRACE_SECONDS)
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                break
        left = tuple(self._in_flight)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if self._internal_error is not None:
            raise self._internal_error

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # Not a failure of the target, which `_send` records, but a bug: end the run.
            self._internal_error = error
            self.stop()
        if not self._in_flight:
            self._changed.set()

    def _now(self) -> float:
        # Rounded to microseconds, as in the files.
        return round(time.monotonic() - self.start, 6)


def category(error: Exception) -> str:
    """Return the category of the error of a request."""
    if isinstance(error, OSError) and error.errno in ERRNO:
        return ERRNO[error.errno]
    for kind, name in CATEGORIES:
        if isinstance(error, kind):
            return name
    return type(error).__name__
