"""What happens to requests on their way, and two servers that behave as the real ones were measured to."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace
from typing import Any

import elastic_transport
import orjson
import urllib3
from elastic_transport import ApiResponseMeta, BaseNode, HttpHeaders
from elastic_transport._node import NodeApiResponse

from ..world.machine import Machine, Process, ViolationError
from .ledger import Ledger

NETWORK_FAULTS = (
    *("refused", "lost-request", "lost-answer", "reset-before", "reset-after", "half-effect"),
    *("half-answer", "late", "slow", "busy", "unavailable", "gateway-timeout", "unauthorized"),
    *("forbidden", "items-busy", "items-failed", "no-shard", "proxy-page", "templates-lost"),
    "server-killed",
)
BEFORE = {"refused", "lost-request", "reset-before"}
AFTER = {"lost-answer", "reset-after", "half-effect", "server-killed"}
ELSEWHERE = {"gateway-timeout", "items-failed", "no-shard", "templates-lost"}
OF_ITEMS = {"items-busy", "items-failed", "no-shard"}
STATUS = {"busy": 429, "unavailable": 503, "unauthorized": 401, "forbidden": 403}
JSON_HEADERS = {"content-type": "application/json", "x-elastic-product": "Elasticsearch"}
SHARD_LIMIT = (
    "Validation Failed: 1: this action would add [2] shards, but this cluster has [1000]/[1000]"
)
TEMPLATES = 5
"""Requests that install the templates of the streams."""


class NoAnswerError(Exception):
    """The client gets no answer: the connection failed, or nothing came in time."""

    def __init__(self, kind: str, *, timed_out: bool) -> None:
        super().__init__(kind)
        self.timed_out = timed_out


@dataclass
class Network:
    """The way to a server: `faults` happen to the requests of these numbers."""

    machine: Machine
    ledger: Ledger
    requests: int = 0
    faults: dict[int, tuple[str, int]] = field(default_factory=dict)
    late: list[Callable[[], object]] = field(default_factory=list)
    clients: dict[int, Process] = field(default_factory=dict)

    def begin(self, what: str, seconds: float) -> tuple[str, Random]:
        """A process sends a request: what happens to it, and what decides the rest.

        Raises:
            NoAnswerError: it does not arrive. The client gives up after so many seconds.
            ViolationError: another process sends requests, too.
        """
        process = self.machine.call("request", what)
        self.clients = {pid: one for pid, one in self.clients.items() if not one.dead}
        self.clients[process.pid] = process
        if len(self.clients) > 1:
            raise ViolationError(f"two collectors deliver: {sorted(self.clients)}")
        self.requests += 1
        kind, salt = self.faults.pop(self.requests, ("", 0))
        self.machine.note(f"-> {kind or 'answered'}")
        if self.late and self.requests % 3 == 0:
            self.late.pop(0)()
        if kind in BEFORE:
            self.fail(kind, seconds)
        random = Random(salt)
        if kind == "slow":
            self.machine.pass_time(random.uniform(1, seconds / 2))
        return kind, random

    def fail(self, kind: str, seconds: float) -> None:
        """The client gets no answer.

        Raises:
            NoAnswerError: always.
        """
        timed_out = kind.startswith("lost")
        self.machine.pass_time(seconds if timed_out else 0.01)
        raise NoAnswerError(kind, timed_out=timed_out)


@dataclass
class ElasticsearchModel:
    """An Elasticsearch: `create` keeps the first document of an id, whatever happens to the answer.

    Attributes:
        longest: The longest body that it takes, in bytes.
    """

    network: Network
    longest: int
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    has_templates: bool = False
    installed: int = 0

    def create(self, identity: str, source: bytes) -> int:
        """Create a document; return the status of the item."""
        if identity in self.documents:
            return 409
        event = orjson.loads(source)
        if contradicts_mapping(event):
            return 400
        self.network.ledger.stored(identity, event)
        self.documents[identity] = event
        return 201

    def answer(self, target: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Answer a request of the client.

        Raises:
            NoAnswerError: it gets no answer.
        """
        kind, random = self.network.begin(target, 20.0)
        if kind in OF_ITEMS and "_bulk" not in target:  # but perhaps to the next
            self.network.faults.setdefault(
                self.network.requests + 1, (kind, random.getrandbits(30))
            )
        if kind == "templates-lost":
            self.has_templates = False
        if kind in STATUS:
            return STATUS[kind], JSON_HEADERS, b'{"error": {"type": "simulated", "reason": "no"}}'
        if kind == "proxy-page":
            return 200, {"content-type": "text/html"}, b"<html>Welcome</html>"
        if kind == "late":
            self.network.late.append(lambda: self._effect(target, body, "", random))
            self.network.fail("lost-request", 20.0)
        status, answer = self._effect(target, body, kind, random)
        if kind in AFTER:
            self.network.fail(kind, 20.0)
        if kind == "gateway-timeout":
            return 504, JSON_HEADERS, b""
        return status, JSON_HEADERS, answer[: len(answer) // (2 if kind == "half-answer" else 1)]

    def _effect(self, target: str, body: bytes, kind: str, random: Random) -> tuple[int, bytes]:
        if "_bulk" not in target:
            self.installed += 1
            self.has_templates |= self.installed % TEMPLATES == 0
            return 200, b'{"acknowledged": true}'
        if len(body) > self.longest:
            return 413, b""
        return 200, self._bulk(body, kind, random)

    def _bulk(self, body: bytes, kind: str, random: Random) -> bytes:
        lines = body.splitlines()
        items = []
        for number in range(0, len(lines), 2):
            identity = orjson.loads(lines[number])["create"]["_id"]
            status, why = 0, "refused"
            if kind == "half-effect" and number >= len(lines) // 2:
                break
            if not self.has_templates:
                status, why = 404, "no such data stream"
            elif kind in OF_ITEMS and random.random() < 0.5:
                status = {"items-busy": 429, "items-failed": 503, "no-shard": 400}[kind]
                why = SHARD_LIMIT if kind == "no-shard" else "later"
            status = status or self.create(identity, lines[number + 1])
            item: dict[str, Any] = {"status": status, "_id": identity}
            if status >= 300:
                item["error"] = {"type": "simulated", "reason": why}
                if kind == "no-shard" and why == SHARD_LIMIT:
                    item["error"]["type"] = "validation_exception"
            items.append({"create": item})
        return orjson.dumps({"errors": True, "items": items})


def contradicts_mapping(event: dict[str, Any]) -> bool:
    """Whether it has text where the mapping has an object."""
    own = event.get("tidegate")
    return isinstance(own, dict) and isinstance(own.get("model"), str)


@dataclass
class LogstashModel:
    """A Logstash: what it acknowledges is in its queue, which survives its end; the rest is repeated."""

    network: Network
    store: ElasticsearchModel
    longest: int
    room: int
    queue: list[bytes] = field(default_factory=list)

    def answer(self, body: bytes) -> tuple[int, bytes]:
        """Answer a request with events.

        Raises:
            NoAnswerError: the client gets no answer.
        """
        kind, _ = self.network.begin("/", 15.0)
        if kind in STATUS:
            return STATUS[kind], b"no"
        if kind == "proxy-page":
            return 502, b"<html>Bad gateway</html>"
        data = gzip.decompress(body)
        if len(data) > self.longest:
            return 413, b""
        lines = data.splitlines()
        if len(self.queue) + len(lines) > self.room:
            self.network.machine.pass_time(10.0)
            return 429, b"busy"
        if kind == "late":
            self.network.late.append(lambda: self._take(lines))
            self.network.fail("lost-request", 15.0)
        self._take(lines[: len(lines) // 2] if kind == "half-effect" else lines)
        if kind == "server-killed":  # it repeats what it had sent and not recorded
            self.work(len(self.queue), forgotten=True)
        if kind in AFTER or kind == "half-answer":
            self.network.fail(kind, 15.0)
        return (504, b"") if kind in ELSEWHERE else (200, b"ok")

    def _take(self, lines: list[bytes]) -> None:
        for line in lines:
            self.network.ledger.queued(orjson.loads(line))
        self.queue += lines

    def work(self, events: int, *, forgotten: bool = False) -> None:
        """Send events of the queue to the store, and forget that it did."""
        for line in self.queue[:events]:
            self.store.create(orjson.loads(line)["event"]["id"], line)
        if not forgotten:
            del self.queue[:events]


def elasticsearch_node(model: Callable[[], ElasticsearchModel]) -> type[BaseNode]:
    """The transport of the Elasticsearch client, which reaches the model."""

    class Node(BaseNode):
        _CLIENT_META_HTTP_CLIENT = ("si", "1")

        def perform_request(
            self,
            method: str,
            target: str,
            body: bytes | None = None,
            headers: HttpHeaders | None = None,
            request_timeout: object = None,
        ) -> NodeApiResponse:
            try:
                status, answered, data = model().answer(target, body or b"")
            except NoAnswerError as error:
                failure = (
                    elastic_transport.ConnectionTimeout
                    if error.timed_out
                    else elastic_transport.ConnectionError
                )
                raise failure(str(error)) from None
            meta = ApiResponseMeta(status, "1.1", HttpHeaders(answered), 0.01, self.config)
            return NodeApiResponse(meta, data)

        def close(self) -> None:
            """Nothing is open."""

    return Node


def logstash_pool(model: Callable[[], LogstashModel]) -> type:
    """The connection pool of the Logstash sink, which reaches the model."""

    class Pool:
        def __init__(self, **_: object) -> None:
            """Connect with the first request."""

        def request(self, _method: str, _url: str, *, body: bytes, **_: object) -> object:
            try:
                status, data = model().answer(body)
            except NoAnswerError as error:
                raise urllib3.exceptions.ProtocolError(str(error)) from None
            return SimpleNamespace(status=status, data=data)

        def clear(self) -> None:
            """Nothing is open."""

    return Pool
