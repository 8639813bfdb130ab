"""The sections of the event pipeline: collector, Logstash, stores, exporter, Kibana and their setup."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from tidegate.settings.section import (
    AgeOrZero,
    OptionalUrl,
    Port,
    Retention,
    Seconds,
    Section,
    Url,
)


class Elasticsearch(Section):
    """The Elasticsearch cluster, if `store.kind` is `elasticsearch`."""

    url: Url = "http://127.0.0.1:9200"
    """URL of Elasticsearch."""
    username: str = ""
    """User name; empty means no authentication."""
    password_file: Path | None = None
    """File that contains the password of this user."""
    ca_file: Path | None = None
    """File with the certificate authority to trust, for https."""
    retention: Retention = "7d"
    """Retention of events in the data streams."""


class Embedded(Section):
    """The embedded store, if `store.kind` is `embedded`."""

    retention: Retention = "7d"
    """Retention of events in the embedded store."""


class Store(Section):
    """The event store."""

    kind: Literal["embedded", "elasticsearch"] = "embedded"
    """Type of the store: `embedded` (tantivy) or `elasticsearch`."""
    elasticsearch: Elasticsearch = Elasticsearch()
    embedded: Embedded = Embedded()


class Logstash(Section):
    """The Logstash that the collector sends events to, if `collector.sink` is `logstash`."""

    url: Url = "http://127.0.0.1:8080"
    """URL of its http input."""
    username: str = "collector"
    """User of its http input; empty means no authentication."""
    password_file: Path | None = None
    """File that contains the password of this user."""
    ca_file: Path | None = None
    """File with the certificate authority to trust, for https."""


LOGSTASH_BYTES: Final = 110_000
"""Maximum size of a request to Logstash, before compression. Its http input accepts 128 KiB
(observability/logstash/pipeline/main.conf)."""


class Collector(Section):
    """The collector, which delivers event files to the store."""

    sink: Literal["store", "logstash"] = "store"
    """Destination of events: `store` writes to the store directly, `logstash` sends them to Logstash, which
    writes to the store."""
    logstash: Logstash = Logstash()
    metrics_port: Port = 9101
    """Port of the collector's metrics."""
    poll_seconds: Seconds = 0.2
    """Interval between checks for new events."""
    batch_events: int = Field(default=4000, ge=2, le=50_000)
    """Maximum number of events in a batch. At least 2: if a batch of one event fails, the cause could be the
    event or the store."""
    batch_bytes: int = Field(default=4 * 2**20, ge=65_536, le=64 * 2**20)
    """Maximum size of a batch."""
    line_bytes: int = Field(default=65_536, ge=16_384, le=64 * 2**20)
    """Maximum length of an event's line. Long texts and lists of a longer one are cut, and it gets the tag
    `truncated`. With Logstash, which keeps several copies of many events in memory, at most 110,000."""
    keep_seconds: AgeOrZero = 86_400.0
    """Closed and completely delivered event files are deleted after this time; after a jump of the clock an
    hour later."""
    keep_bytes: int = Field(default=2**30, ge=0, le=2**50)
    """Maximum total size of closed and completely delivered event files; the oldest are deleted first."""
    last_pass_seconds: Seconds = 10.0
    """Maximum time that a stopping collector retries while its destination is unavailable; the rest stays in
    the event files. Where these end with it, as in a pod, events are lost then."""


class Exporter(Section):
    """The exporter of metrics of Logstash and Elasticsearch, which also stores alerts as events."""

    port: Port = 9104
    """Port that serves the metrics at /metrics and receives Alertmanager's notifications at /alerts."""
    logstash_url: OptionalUrl = ""
    """URL of Logstash's monitoring API; empty means that there is no Logstash."""


class Provision(Section):
    """Options of `tidegate setup elasticsearch`. The cluster is the one in `[store.elasticsearch]`."""

    username: str = Field(default="elastic", min_length=1)
    """Elasticsearch user that performs the setup."""
    secrets_dir: Path = Path("/run/secrets")
    """Folder of the password files: `elastic` (of that user), `kibana_system`, `writer`, `reader`,
    `viewer`."""
    start_seconds: Seconds = 300.0
    """Maximum time until Elasticsearch responds and its status is not red."""


class Kibana(Section):
    """The Kibana that `tidegate setup kibana` configures."""

    url: Url = "http://127.0.0.1:5601"
    """URL of Kibana."""
    username: str = Field(default="elastic", min_length=1)
    """User that sets up Kibana; it needs *All* in the default space."""
    password_file: Path | None = None
    """File that contains the password of this user; unset means no authentication."""
    ca_file: Path | None = None
    """File with the certificate authority to trust, for https."""
    start_seconds: Seconds = 600.0
    """Maximum time until Kibana is ready."""
