"""Sends events to Logstash's http input as gzipped JSON lines, acknowledged by a 200 response.

Logstash responds with 200 when the events are in its persistent queue. Every other response leads to a retry,
and a repeated event is stored once, by its id. Logstash reports nothing about single events. So the events
that Elasticsearch would reject are found here, by the rules of both stores: they can still be repaired, and
do not end in the dead letter queue.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple, cast

import urllib3

from tidegate.events.event import Event, encode, timestamp
from tidegate.runtime.secret_files import SecretFileError, authorization, read_login
from tidegate.settings import Logstash as LogstashSettings
from tidegate.settings.event_pipeline import LOGSTASH_BYTES
from tidegate.store.base import Rejected, StoreUnavailableError
from tidegate.store.fields import TIMESTAMP, RefusedError, catalogue, document_address, project
from tidegate.store.own_fields import LeftOut, ignore, with_own_fields

CONNECT_SECONDS: Final = 5.0
# With a full queue Logstash blocks, and responds with 429 after 10 s.
RESPONSE_SECONDS: Final = 15.0
# Logstash replaces a timestamp in any other format with the current time.
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
# Logstash never stores a field of this name: it controls the pipeline.
METADATA: Final = "@metadata"
# If it is neither a string nor a list of strings, Logstash renames it to `_tags` and adds a tag
# (elastic/logstash 9.2, logstash-core/src/main/java/org/logstash/Event.java, isLegalTagValue).
TAGS: Final = "tags"
SHOWN_CHARACTERS: Final = 200


class _Line(NamedTuple):
    """An encoded event, and its index in the batch."""

    position: int
    data: bytes


class LogstashSink:
    """A Logstash with an http input."""

    def __init__(self, settings: LogstashSettings, *, left_out: LeftOut = ignore):
        """Create the sink; it connects with the first events.

        Raises:
            StoreUnavailableError: The file of the certificate authority does not exist.
        """
        self._settings = settings
        self._left_out = left_out
        authority = settings.ca_file
        if authority is not None and not authority.is_file():
            raise StoreUnavailableError(f"collector.logstash.ca_file: {authority} does not exist")
        self._pool = urllib3.PoolManager(
            maxsize=1,
            retries=False,
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=RESPONSE_SECONDS),
            ca_certs=str(authority) if authority is not None else None,
        )

    def append(self, events: Sequence[Event]) -> list[Rejected]:
        """Send the events; return those that no store accepts or that are too large for Logstash."""
        rejected: list[Rejected] = []
        for body in _bodies(self._lines(events, rejected)):
            rejected += self._send(body)
        return sorted(rejected, key=lambda one: one.index)

    def close(self) -> None:
        """Close the connection."""
        self._pool.clear()

    def _lines(self, events: Sequence[Event], rejected: list[Rejected]) -> Iterator[_Line]:
        for index, event in enumerate(events):
            try:
                yield _Line(index, _line(event, self._left_out))
            except RefusedError as error:
                rejected.append(Rejected(index, str(error)))

    def _send(self, lines: Sequence[_Line]) -> list[Rejected]:
        size = sum(len(line.data) for line in lines)
        status, text = self._post(b"".join(line.data for line in lines))
        url, username = self._settings.url, self._settings.username
        if status == 200:
            return []
        if status == 413:
            if len(lines) == 1:
                reason = f"Logstash refused the event of {size} bytes as too large (413)"
                return [Rejected(lines[0].position, reason)]
            half = len(lines) // 2
            return [*self._send(lines[:half]), *self._send(lines[half:])]
        if status == 401:
            raise StoreUnavailableError(
                f"collector.logstash.password_file: {url} refused the password of user {username!r} (401)"
            )
        raise StoreUnavailableError(f"{url}: {status}: {text}".rstrip(": "))

    def _post(self, data: bytes) -> tuple[int, str]:
        url = self._settings.url
        headers = {
            "Content-Type": "application/x-ndjson",
            "Content-Encoding": "gzip",
            **self._authorization(),
        }
        try:
            response = self._pool.request(
                "POST",
                url,
                body=gzip.compress(data, compresslevel=1, mtime=0),
                headers=headers,
                redirect=False,
            )
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            # On a time-out it is unknown whether Logstash has the events, so they are sent again.
            raise StoreUnavailableError(f"{url} cannot be reached: {error}") from error
        return response.status, response.data[:SHOWN_CHARACTERS].decode("utf-8", "replace")

    def _authorization(self) -> dict[str, str]:
        """Read the password for each request, so that a changed one needs no restart."""
        user, file = self._settings.username, self._settings.password_file
        try:
            return authorization(read_login(user, file, "collector.logstash.password_file"))
        except SecretFileError as error:
            raise StoreUnavailableError(str(error)) from error


def _line(event: Event, report: LeftOut = ignore) -> bytes:
    """Encode an event, with values replaced or moved that Logstash would change or interpret.

    Raises:
        RefusedError: No store accepts the event.
    """
    document_address(event)
    microseconds = project(event)[TIMESTAMP]
    original = event.get(TIMESTAMP)
    if not isinstance(original, str) or not _TIMESTAMP.fullmatch(original):
        event = {**event, TIMESTAMP: timestamp(cast("int", microseconds) * 1000)}
    if not _is_text(tags := event.get(TAGS)):
        event = {**event, TAGS: list(_texts(tags))}
    if METADATA in event:
        event = dict(event)
        metadata = event.pop(METADATA)
        own = _object(event.get("tidegate"))
        misfits = {**_object(own.get("misfits")), METADATA: metadata}
        event["tidegate"] = {**own, "misfits": misfits}
    return encode(with_own_fields(event, report))


def _is_text(tags: object) -> bool:
    """Return whether Logstash leaves tags of this type unchanged."""
    if isinstance(tags, list):
        return all(isinstance(one, str) for one in tags)
    return tags is None or isinstance(tags, str)


def _texts(tags: object) -> Iterator[object]:
    """Return the tags as strings, as both stores index them."""
    if isinstance(tags, list):
        for one in tags:
            yield from _texts(one)
    elif (text := catalogue()[TAGS].convert(tags)) is not None:
        yield text


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _bodies(lines: Iterable[_Line]) -> Iterator[list[_Line]]:
    """Group the lines into request bodies of at most LOGSTASH_BYTES, which no line exceeds."""
    body: list[_Line] = []
    size = 0
    for line in lines:
        if body and size + len(line.data) > LOGSTASH_BYTES:
            yield body
            body, size = [], 0
        body.append(line)
        size += len(line.data)
    if body:
        yield body
