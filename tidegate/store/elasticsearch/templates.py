"""The templates of Tidegate's data streams, and mapping updates of existing streams.

The store installs them when it is opened for writing; in Compose `tidegate setup elasticsearch` does so,
because the account that appends events there lacks the privilege.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from elasticsearch import Elasticsearch

from tidegate.store.fields import TIMESTAMP, template

STREAMS: Final = {"logs": "logs-tidegate.*-*", "traces": "traces-tidegate.*-*"}


@dataclass(frozen=True, slots=True)
class Template:
    """A component or index template from observability/elasticsearch."""

    kind: Literal["component", "index"]
    name: str
    body: Mapping[str, Any]

    def put(self, client: Elasticsearch) -> None:
        """Create or replace the template. This is idempotent."""
        body = self.body
        if self.kind == "component":
            client.cluster.put_component_template(
                name=self.name, template=body["template"], meta=body["_meta"]
            )
            return
        client.indices.put_index_template(
            name=self.name,
            index_patterns=body["index_patterns"],
            data_stream=body["data_stream"],
            priority=body["priority"],
            composed_of=body["composed_of"],
            meta=body["_meta"],
        )


def templates(retention: str) -> list[Template]:
    """Return all templates in the order of installation."""
    settings = template("component-tidegate-settings")
    settings["template"]["lifecycle"]["data_retention"] = retention
    return [
        Template("component", "tidegate-settings", settings),
        Template("component", "tidegate-mappings", template("component-tidegate-mappings")),
        *(
            Template("index", f"{kind}-tidegate", template(f"index-{kind}-tidegate"))
            for kind in STREAMS
        ),
    ]


def properties() -> dict[str, Any]:
    """Return the fields to add to the mapping of an existing stream.

    `@timestamp` is left out: it would get `ignore_malformed`, which Elasticsearch does not allow for the
    timestamp of a data stream.
    """
    fields = dict(template("component-tidegate-mappings")["template"]["mappings"]["properties"])
    del fields[TIMESTAMP]
    return fields


def update_mappings(client: Elasticsearch) -> None:
    """Add new fields to the mappings of existing streams."""
    client.indices.put_mapping(
        index=list(STREAMS.values()),
        properties=properties(),
        allow_no_indices=True,
        ignore_unavailable=True,
    )


def install(client: Elasticsearch, retention: str) -> None:
    """Install all templates and update existing streams. This is idempotent."""
    for one in templates(retention):
        one.put(client)
    update_mappings(client)
