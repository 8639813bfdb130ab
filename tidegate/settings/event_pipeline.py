"""The sections of the way of an event: collector, Logstash, stores, Kibana, and what sets them up."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from tidegate.settings.section import OptionalUrl, Port, Retention, Seconds, Section, Url


class Elasticsearch(Section):
    """The Elasticsearch to write to, when `store.kind` is `elasticsearch`."""

    url: Url = "http://127.0.0.1:9200"
    """Its address."""
    username: str = ""
    """Its user; empty means no authentication."""
    password_file: Path | None = None
    """A file that holds the password."""
    ca_file: Path | None = None
    """A file with the certificate authority to trust, for https."""
    retention: Retention = "7d"
    """How long the data streams keep events."""


class Embedded(Section):
    """The embedded store, when `store.kind` is `embedded`."""

    retention: Retention = "7d"
    """How long it keeps events."""


class Store(Section):
    """Where events can be searched."""

    kind: Literal["embedded", "elasticsearch"] = "embedded"
    """The embedded store (tantivy), or an Elasticsearch."""
    elasticsearch: Elasticsearch = Elasticsearch()
    embedded: Embedded = Embedded()


class Logstash(Section):
    """The Logstash to send to, when `collector.sink` is `logstash`."""

    url: Url = "http://127.0.0.1:8080"
    """Its http input."""
    username: str = "collector"
    """The user of its http input; empty means no authentication."""
    password_file: Path | None = None
    """A file that holds the password."""
    ca_file: Path | None = None
    """A file with the certificate authority to trust, for https."""


class Collector(Section):
    """What carries event files into the store."""

    sink: Literal["store", "logstash"] = "store"
    """Where to: into the store itself, or to a Logstash that writes into it."""
    logstash: Logstash = Logstash()
    metrics_port: Port = 9101
    """Its own metrics."""
    poll_seconds: Seconds = 0.2
    """How often files are looked at."""
    batch_events: int = Field(default=1000, ge=2, le=50_000)
    """Events in one delivery, at most; one alone could not show whether it or the store is at fault."""
    batch_bytes: int = Field(default=4 * 2**20, ge=65_536, le=64 * 2**20)
    """Bytes in one delivery, at most."""
    line_bytes: int = Field(default=262_144, ge=16_384)
    """A longer line is set aside as corrupt; our own events are cut to fit. Logstash holds 50 events
    in memory, several times over."""
    keep_seconds: float = Field(default=86_400.0, ge=0)
    """Delivered, closed files older than this are deleted."""
    keep_bytes: int = Field(default=2**30, ge=0)
    """Delivered, closed files are deleted, oldest first, while they are more than this in all."""


class Exporter(Section):
    """What tells Prometheus about Logstash and Elasticsearch, and writes alerts down as events."""

    port: Port = 9104
    """Its own metrics at /metrics; Alertmanager sends to /alerts."""
    logstash_url: OptionalUrl = ""
    """Logstash's monitoring API; empty means that there is none."""


class Provision(Section):
    """What `tidegate setup elasticsearch` is told; where that is, `[store.elasticsearch]` says."""

    username: str = Field(default="elastic", min_length=1)
    """Who sets it up."""
    secrets_dir: Path = Path("/run/secrets")
    """A folder with the passwords `elastic` (its own), `kibana_system`, `writer`, `reader` and `viewer`."""
    start_seconds: Seconds = 300.0
    """How long Elasticsearch may take until it answers and is not red."""


class Kibana(Section):
    """The Kibana that `tidegate setup kibana` fills; its Elasticsearch is that of `[store.elasticsearch]`."""

    url: Url = "http://127.0.0.1:5601"
    """Its address."""
    username: str = Field(default="elastic", min_length=1)
    """Who makes the short-lived API key that Kibana is filled with."""
    password_file: Path | None = None
    """A file that holds that user's password; unset means no authentication."""
    ca_file: Path | None = None
    """A file with the certificate authority to trust, for https."""
    start_seconds: Seconds = 300.0
    """How long it may take to become ready."""
