"""The faults of a real Elasticsearch behind a proxy with TLS."""

from __future__ import annotations

import json
import ssl
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from soak.injection import Injection
from soak.schedule import Fault
from support.doubles.faulty_proxy import FaultyProxy, Way
from support.kubernetes.certificates import Authority
from support.ports import free_port
from support.processes.elasticsearch_server import EVENTS

WAYS: Final = (
    *("429", "503", "item 429", "slow", "reset before", "lost acknowledgement"),
    *("away", "certificate expired", "read-only"),
)
"""The targets of faults of the kind `store`: those of the proxy, and three more."""


@dataclass(frozen=True)
class Certificates:
    """Of the proxy: the authority's file, and what it shows to its clients."""

    authority: Path
    valid: ssl.SSLContext
    expired: ssl.SSLContext

    @classmethod
    def create(cls, folder: Path) -> Certificates:
        """Make them by openssl."""
        authority = Authority.create(folder, "authority")

        def context(name: str, **options: Any) -> ssl.SSLContext:
            authority.issue(name, "/CN=elasticsearch", names=("IP:127.0.0.1",), **options)
            made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            made.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
            return made

        return cls(Path(authority.certificate), context("valid"), context("expired", days=-1))


@dataclass(frozen=True)
class Behind:
    """An Elasticsearch behind its proxy."""

    proxy: FaultyProxy
    certificates: Certificates

    def sections(self) -> dict[str, Any]:
        """The settings of a stack that uses it, in a namespace of its own."""
        url, authority = f"https://127.0.0.1:{self.proxy.port}", str(self.certificates.authority)
        return {
            "store": {"kind": "elasticsearch", "elasticsearch": {"url": url, "ca_file": authority}},
            "service": {"namespace": uuid.uuid4().hex},
        }

    def begin(self, way: str) -> None:
        """Fail in this way."""
        match way:
            case "away":
                self.proxy.stop()
            case "certificate expired":
                self.proxy.stop()
                self.proxy.start(self.certificates.expired)
            case "read-only":
                self._block(blocked=True)
            case _:
                self.proxy.way = cast("Way", way)

    def end(self, way: str) -> None:
        """Work again."""
        match way:
            case "away":
                self.proxy.start(self.certificates.valid)
            case "certificate expired":
                self.proxy.stop()
                self.proxy.start(self.certificates.valid)
            case "read-only":
                self._block(blocked=False)
            case _:
                self.proxy.way = ""

    def _block(self, *, blocked: bool) -> None:
        """What Elasticsearch does to each index on a disk above its flood-stage watermark."""
        request = urllib.request.Request(
            f"{self.proxy.target}/{EVENTS}/_settings?expand_wildcards=all",
            json.dumps({"index.blocks.read_only_allow_delete": blocked or None}).encode(),
            {"Content-Type": "application/json"},
            method="PUT",
        )
        urllib.request.urlopen(request, timeout=30).close()


@contextmanager
def behind_proxy(elasticsearch: str, folder: Path) -> Iterator[Behind]:
    """A proxy with TLS before an Elasticsearch."""
    made = Behind(FaultyProxy(elasticsearch, free_port()), Certificates.create(folder))
    made.proxy.start(made.certificates.valid)
    try:
        yield made
    finally:
        made.proxy.stop()


@dataclass
class WithStore(Injection):
    """The faults of a stack, and of its Elasticsearch."""

    behind: Behind | None = None

    def _begin(self, fault: Fault, pids: dict[str, int]) -> None:
        if fault.kind == "store" and self.behind is not None:
            self.behind.begin(fault.target)
        else:
            super()._begin(fault, pids)

    def end(self, fault: Fault) -> None:
        if fault.kind == "store" and self.behind is not None:
            self.behind.end(fault.target)
        else:
            super().end(fault)
