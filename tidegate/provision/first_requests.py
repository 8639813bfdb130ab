"""`tidegate setup first-requests`: sends requests, so that the views show data at the first login.

A new stack has no request events: probes write none. So a new installation receives a hundred requests,
once: at later starts they would mix with the requests of users.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Final

import aiohttp
import orjson

from tidegate.provision.commands import Report
from tidegate.provision.errors import ProvisionError, reason
from tidegate.provision.request_example import Row, example_row, is_model_service
from tidegate.runtime.http_client import HttpClient, HttpError
from tidegate.settings import Settings
from tidegate.settings.verify import Verify

REQUEST_COUNT: Final = 100
PAUSE_SECONDS: Final = 0.2
"""Between a response and the next request. Sent one after the other, they use one slot at most."""
TIMEOUT_SECONDS: Final = 30.0
MARKER: Final = Path("setup", "first-requests")
"""A file in the data folder that records that the requests were sent."""
HEAVY_EVERY, MEDIUM_EVERY, INVALID_EVERY = 25, 8, 20
TRACED_EVERY: Final = 20
"""These requests ask for a trace: `telemetry.sample_ratio` may choose none of so few."""
ROWS: Final = {"light": 1, "medium": 4, "heavy": 16}
"""Rows per request. Their sum is below the minimum for a drift alert (`drift.fast_samples`)."""
MAX_BYTES: Final = 262_144
"""Largest size of the rows of a request, for models whose rows are long, such as images."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request, and whether the service must accept it."""

    body: bytes
    valid: bool = True
    path: str = "/predict"
    content_type: str = "application/json"


def invalid_requests(row: Row) -> tuple[Request, ...]:
    """One request for each kind of client error, for any model."""
    return (
        Request(orjson.dumps({"instances": [row | {"no_such_feature": 1}]}), valid=False),
        Request(b'{"instances": [', valid=False),
        Request(orjson.dumps({"instances": []}), valid=False),
        Request(b"a,b\n1,2\n", valid=False, content_type="text/csv"),
        Request(orjson.dumps({"instances": [row]}), valid=False, path="/no-such-path"),
    )


def requests(rows: Sequence[Row], count: int = REQUEST_COUNT) -> Iterator[Request]:
    """Light, medium and heavy requests with the rows in turn, and some invalid ones.

    The same rows, one or more, give the same requests.
    """
    supply, invalid = cycle(rows), cycle(invalid_requests(rows[0]))
    most = max(1, MAX_BYTES // len(orjson.dumps(rows[0])))
    for i in range(count):
        if i % INVALID_EVERY == INVALID_EVERY - 1:
            yield next(invalid)
            continue
        heavy, medium = i % HEAVY_EVERY == HEAVY_EVERY // 2, i % MEDIUM_EVERY == MEDIUM_EVERY // 2
        work = "heavy" if heavy else "medium" if medium else "light"
        instances = list(islice(supply, min(most, ROWS[work])))
        yield Request(orjson.dumps({"instances": instances, "work": work}))


def send(
    settings: Settings,
    url: str,
    rows_file: Path,
    report: Report,
    pause_seconds: float = PAUSE_SECONDS,
) -> None:
    """Send the requests, unless this installation has received them: then its data folder has the marker.

    The file has a row as a JSON object on each line. If it is missing or the model has other features, the
    example of the model is sent.

    Raises:
        ProvisionError: a response was not the expected one. The next start sends the requests again.
    """
    marker = settings.stack.data_dir / MARKER
    if marker.exists():
        report(f"{marker}: the requests were sent {marker.read_text(encoding='utf-8').strip()}")
        return
    base = url.rstrip("/")
    if settings.verify.path:
        sent, source = asyncio.run(_send_own(base, settings.verify, pause_seconds))
    else:
        sent, source = asyncio.run(_send(base, rows_file, pause_seconds))
    if not sent:
        report(f"no requests sent: {source}")
        return
    timestamp = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.write_text(f"at {timestamp}, to {url}\n", encoding="utf-8")
    except OSError as error:
        raise ProvisionError(f"{marker} cannot be written: {reason(error)}") from error
    report(f"{sent} requests sent to {url}, with {source}")


@asynccontextmanager
async def _client(url: str) -> AsyncIterator[HttpClient]:
    """A client whose failures are errors of provisioning."""
    async with aiohttp.ClientSession() as session:
        try:
            yield HttpClient(session, url, seconds=TIMEOUT_SECONDS)
        except HttpError as error:
            raise ProvisionError(str(error)) from error


async def _send(url: str, rows_file: Path, pause_seconds: float) -> tuple[int, str]:
    async with _client(url) as client:
        try:
            document = await client.call("GET", "/openapi.json")
        except HttpError as error:
            if error.status is None:
                raise
            document = b""
        if not is_model_service(document):
            return 0, f"{url} is an application of your own; verify.path can name a request of it"
        example = example_row(document, url)
        rows, source = _rows(rows_file, example)
        for number, request in enumerate(requests(rows)):
            await _send_one(client, request, _trace_headers(number))
            await asyncio.sleep(pause_seconds)
    return REQUEST_COUNT, source


async def _send_own(url: str, verify: Verify, pause_seconds: float) -> tuple[int, str]:
    """Send the request of `[verify]`, to an application whose paths are not known."""
    method, body = ("POST", verify.body.encode()) if verify.body else ("GET", None)
    headers = {"Content-Type": "application/json"} if verify.body else {}
    async with _client(url) as client:
        for number in range(REQUEST_COUNT):
            every = headers | _trace_headers(number)
            await client.status(method, verify.path, data=body, headers=every)
            await asyncio.sleep(pause_seconds)
    return REQUEST_COUNT, f"{method} {verify.path} of verify.path"


async def _send_one(client: HttpClient, request: Request, headers: dict[str, str]) -> None:
    headers = {"Content-Type": request.content_type} | headers
    if request.valid:
        await client.call("POST", request.path, data=request.body, headers=headers)
    elif await client.status("POST", request.path, data=request.body, headers=headers) == 200:
        raise ProvisionError(f"{client.shown(request.path)} accepted an invalid request")


def _trace_headers(number: int) -> dict[str, str]:
    if number % TRACED_EVERY:
        return {}
    return {"traceparent": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"}


def _rows(file: Path, example: Row) -> tuple[list[Row], str]:
    try:
        rows = [dict(orjson.loads(line)) for line in file.read_bytes().splitlines()]
    except (OSError, ValueError):
        rows = []
    if rows and all(set(row) <= set(example) for row in rows):
        return rows, f"rows of {file}"
    return [example], "the example of its model"
