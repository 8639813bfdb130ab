"""Sends events to Logstash's http input: lines of JSON, gzipped, acknowledged by a 200.

The 200 comes when Logstash's persistent queue has them. Everything else means "send it again", and what is
sent again is stored once, by the events' ids. As Logstash says nothing about a single event, what
Elasticsearch would refuse is found here, by the rules that both stores have: it can still be made to fit,
and does not end in the dead letter queue.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import urllib3

from tidegate.events import Event, encode, timestamp
from tidegate.runtime.secret_files import SecretFileError, read_secret
from tidegate.settings import Logstash as LogstashSettings
from tidegate.store.base import Rejected, StoreUnavailableError
from tidegate.store.fields import TIMESTAMP, RefusedError, catalogue, place, project

# Uncompressed. The http input of ours takes 10 MiB (observability/logstash/pipeline/main.conf).
BODY_BYTES: Final = 8 * 2**20
CONNECT_SECONDS: Final = 5.0
# A Logstash whose queue is full blocks, and answers 429 after 10 s.
ANSWER_SECONDS: Final = 15.0
# Logstash understands no other time and would put its own clock's in its place.
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
# A field of this name is never stored, and steers its pipelines.
METADATA: Final = "@metadata"
# Where it is neither text nor a list of texts, Logstash renames it to `_tags` and adds a tag of its own
# (elastic/logstash 9.2, logstash-core/src/main/java/org/logstash/Event.java, isLegalTagValue).
TAGS: Final = "tags"
SHOWN_CHARACTERS: Final = 200


class _Line(NamedTuple):
    """An event as it is sent, and at which place it was given to `append`."""

    at: int
    data: bytes


class LogstashSink:
    """A Logstash with an http input."""

    def __init__(self, settings: LogstashSettings):
        """Connect with the first events.

        Raises:
            StoreUnavailableError: the certificate authority's file is not there.
        """
        self._settings = settings
        authority = settings.ca_file
        if authority is not None and not authority.is_file():
            raise StoreUnavailableError(f"collector.logstash.ca_file: there is no file {authority}")
        self._pool = urllib3.PoolManager(
            maxsize=1,
            retries=False,
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=ANSWER_SECONDS),
            ca_certs=str(authority) if authority is not None else None,
        )

    def append(self, events: Sequence[Event]) -> list[Rejected]:
        """Send the events; those that no store would take, or Logstash finds too large."""
        rejected: list[Rejected] = []
        lines: list[_Line] = []
        for index, event in enumerate(events):
            try:
                lines.append(_Line(index, _line(event)))
            except RefusedError as error:
                rejected.append(Rejected(index, str(error)))
        for body in _bodies(lines):
            rejected += self._send(body)
        return sorted(rejected, key=lambda one: one.index)

    def close(self) -> None:
        """Let go of the connection."""
        self._pool.clear()

    def _send(self, lines: Sequence[_Line]) -> list[Rejected]:
        size = sum(len(line.data) for line in lines)
        status, text = self._post(b"".join(line.data for line in lines))
        url, username = self._settings.url, self._settings.username
        if status == 200:
            return []
        if status == 413:
            if len(lines) == 1:
                reason = f"Logstash takes no event of {size} bytes (413)"
                return [Rejected(lines[0].at, reason)]
            half = len(lines) // 2
            return [*self._send(lines[:half]), *self._send(lines[half:])]
        if status == 401:
            raise StoreUnavailableError(
                f"collector.logstash.password_file: {url} does not let the user {username!r} in with it (401)"
            )
        raise StoreUnavailableError(f"{url}: {status}: {text}".rstrip(": "))

    def _post(self, data: bytes) -> tuple[int, str]:
        url = self._settings.url
        headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
        headers.update(self._authorization())
        try:
            answer = self._pool.request(
                "POST",
                url,
                body=gzip.compress(data, compresslevel=1, mtime=0),
                headers=headers,
                redirect=False,
            )
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            # A time-out too: whether Logstash has the events is unknown, so they are sent again.
            raise StoreUnavailableError(f"{url} cannot be reached: {error}") from error
        return answer.status, answer.data[:SHOWN_CHARACTERS].decode("utf-8", "replace")

    def _authorization(self) -> dict[str, str]:
        """Read anew each time, so that a changed password needs no restart."""
        username, file = self._settings.username, self._settings.password_file
        if not username:
            return {}
        if file is None:
            raise StoreUnavailableError(
                "collector.logstash.password_file is needed with a username"
            )
        try:
            password = read_secret(file, "collector.logstash.password_file")
            return urllib3.make_headers(basic_auth=f"{username}:{password}")
        except SecretFileError as error:
            raise StoreUnavailableError(str(error)) from error
        except ValueError as error:  # HTTP's Basic scheme has Latin-1 only
            raise StoreUnavailableError(f"collector.logstash.password_file: {error}") from error


def _line(event: Event) -> bytes:
    """The event as Logstash gets it: as it is, but for what Logstash would change or take for its own.

    Raises:
        RefusedError: no store would take it.
    """
    place(event)
    (moment,) = project(event)[TIMESTAMP]
    given = event.get(TIMESTAMP)
    if not isinstance(given, str) or not _MOMENT.fullmatch(given):
        event = {**event, TIMESTAMP: timestamp(int(moment) * 1000)}
    if not _is_text(tags := event.get(TAGS)):
        event = {**event, TAGS: list(_texts(tags))}
    if METADATA in event:
        event = dict(event)
        aside = event.pop(METADATA)
        ours = _object(event.get("tidegate"))
        misfits = {**_object(ours.get("misfits")), METADATA: aside}
        event["tidegate"] = {**ours, "misfits": misfits}
    return encode(event)


def _is_text(tags: object) -> bool:
    """Whether tags are of a type that Logstash leaves as it is."""
    if isinstance(tags, list):
        return all(isinstance(one, str) for one in tags)
    return tags is None or isinstance(tags, str)


def _texts(tags: object) -> Iterator[object]:
    """The tags as text, as both stores index them."""
    if isinstance(tags, list):
        for one in tags:
            yield from _texts(one)
    elif (text := catalogue()[TAGS].convert(tags)) is not None:
        yield text


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _bodies(lines: Sequence[_Line]) -> Iterator[list[_Line]]:
    """The lines in order, in parts that Logstash takes; a line that is larger stands alone."""
    body: list[_Line] = []
    size = 0
    for line in lines:
        if body and size + len(line.data) > BODY_BYTES:
            yield body
            body, size = [], 0
        body.append(line)
        size += len(line.data)
    if body:
        yield body
