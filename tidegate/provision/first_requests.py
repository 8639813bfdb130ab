"""`tidegate setup first-requests`: what the views show at the first login.

Nothing that a stack does by itself leaves a request: probes have no event. So a new installation is sent a
hundred, once: at later starts they would stand among the requests of people.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson

from tidegate.os_errors import connection_error_message
from tidegate.provision.elasticsearch.wait import Say
from tidegate.provision.problems import ProvisionError, reason
from tidegate.settings import Settings

Row = dict[str, Any]
NUMBER: Final = 100
PAUSE_SECONDS: Final = 0.2
"""Between an answer and the next request. One after the other, they can keep no more than a slot busy."""
TIMEOUT_SECONDS: Final = 30.0
MARK: Final = Path("setup", "first-requests")
"""A file in the data folder, which says that they were sent."""
HEAVY_EVERY, MEDIUM_EVERY, BAD_EVERY = 25, 8, 20
ROWS: Final = {"light": 1, "medium": 4, "heavy": 16}
"""All together are fewer than it takes to speak of drift (`drift.fast_samples`)."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request, and whether it is one that must be refused."""

    body: bytes
    good: bool = True
    path: str = "/predict"
    type: str = "application/json"


def bad_requests(row: Row) -> tuple[Request, ...]:
    """One of each kind of mistake that a client makes, with any model."""
    return (
        Request(orjson.dumps({"instances": [row | {"no_such_feature": 1}]}), good=False),
        Request(b'{"instances": [', good=False),
        Request(orjson.dumps({"instances": []}), good=False),
        Request(b"a,b\n1,2\n", good=False, type="text/csv"),
        Request(orjson.dumps({"instances": [row]}), good=False, path="/no-such-path"),
    )


def requests(rows: Sequence[Row], number: int = NUMBER) -> Iterator[Request]:
    """Light, medium and heavy ones, and some that must be refused; the same rows give the same requests.

    Args:
        rows: instances that the model takes, one or more; they are sent in turn.
        number: how many requests.
    """
    supply, bad = cycle(rows), cycle(bad_requests(rows[0]))
    for i in range(number):
        if i % BAD_EVERY == BAD_EVERY - 1:
            yield next(bad)
            continue
        heavy, medium = i % HEAVY_EVERY == HEAVY_EVERY // 2, i % MEDIUM_EVERY == MEDIUM_EVERY // 2
        work = "heavy" if heavy else "medium" if medium else "light"
        instances = list(islice(supply, ROWS[work]))
        yield Request(orjson.dumps({"instances": instances, "work": work}))


def send(
    settings: Settings, url: str, rows_file: Path, say: Say, pause_seconds: float = PAUSE_SECONDS
) -> None:
    """Send them, unless this installation had them.

    Args:
        settings: those in force; the mark lies in their data folder.
        url: the gateway.
        rows_file: instances, one JSON object a line. Where the model takes others, or there is no such
            file, its own example is sent.
        say: is told what was done, in a line.
        pause_seconds: between an answer and the next request.

    Raises:
        ProvisionError: an answer was not what it must be. Then they are sent again at the next start.
    """
    mark = settings.stack.data_dir / MARK
    if mark.exists():
        say(f"{mark}: they were sent {mark.read_text(encoding='utf-8').strip()}")
        return
    sent, rows = asyncio.run(_send(url.rstrip("/"), rows_file, pause_seconds))
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.write_text(f"at {moment}, to {url}\n", encoding="utf-8")
    except OSError as error:
        raise ProvisionError(f"{mark} cannot be written: {reason(error)}") from error
    say(f"{sent} requests sent to {url}, with {rows}")


async def _send(url: str, rows_file: Path, pause_seconds: float) -> tuple[int, str]:
    timeout = aiohttp.ClientTimeout(TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        try:
            async with session.get(f"{url}/openapi.json") as answer:
                example = example_row(await answer.read(), url)
            rows, words = _rows(rows_file, example)
            sent = 0
            for request in requests(rows):
                await _one(session, url, request)
                sent += 1
                await asyncio.sleep(pause_seconds)
        except TimeoutError as error:
            raise ProvisionError(f"{url} does not answer within {TIMEOUT_SECONDS:g} s") from error
        except aiohttp.ClientError as error:
            raise ProvisionError(
                f"{url} cannot be reached: {connection_error_message(error)}"
            ) from error
    return sent, words


async def _one(session: aiohttp.ClientSession, url: str, request: Request) -> None:
    headers = {"Content-Type": request.type}
    async with session.post(url + request.path, data=request.body, headers=headers) as answer:
        await answer.read()
    if answer.status >= 500 or (answer.status < 400) != request.good:
        expected = "200" if request.good else "a 4xx"
        raise ProvisionError(
            f"{url}{request.path} answered {answer.status}, where {expected} was expected"
        )


def example_row(document: bytes, url: str) -> Row:
    """A row that the service's model takes, from its `/openapi.json`.

    Raises:
        ProvisionError: the document has no example.
    """
    try:
        schema = orjson.loads(document)["components"]["schemas"]["Request"]
        return dict(schema["examples"][0]["instances"][0])
    except (orjson.JSONDecodeError, LookupError, TypeError, ValueError) as error:
        raise ProvisionError(f"{url}/openapi.json has no example of a request") from error


def _rows(file: Path, example: Row) -> tuple[list[Row], str]:
    try:
        rows = [dict(orjson.loads(line)) for line in file.read_bytes().splitlines()]
    except (OSError, ValueError):
        rows = []
    if rows and all(set(row) <= set(example) for row in rows):
        return rows, f"rows of {file}"
    return [example], "the example of its model"
