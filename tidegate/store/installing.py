"""The templates of our data streams, and what is done to streams that are there already.

The store puts them in place when it is opened for writing; in Compose `tidegate setup elasticsearch` does,
as the account that appends events there may not.
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
    """A component or index template, as its file in observability/elasticsearch has it."""

    kind: Literal["component", "index"]
    name: str
    body: Mapping[str, Any]

    def put(self, client: Elasticsearch) -> None:
        """Put it in place. The same again changes nothing."""
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
    """All of them, in the order in which they must be put."""
    kept = template("component-tidegate-settings")
    kept["template"]["lifecycle"]["data_retention"] = retention
    return [
        Template("component", "tidegate-settings", kept),
        Template("component", "tidegate-mappings", template("component-tidegate-mappings")),
        *(
            Template("index", f"{kind}-tidegate", template(f"index-{kind}-tidegate"))
            for kind in STREAMS
        ),
    ]


def properties() -> dict[str, Any]:
    """The fields that a stream which is there already is taught.

    It knows @timestamp, and may not be told of it again: it would take on ignore_malformed, which a data
    stream's time must not have.
    """
    found = dict(template("component-tidegate-mappings")["template"]["mappings"]["properties"])
    del found[TIMESTAMP]
    return found


def teach(client: Elasticsearch) -> None:
    """Let streams that are there already learn fields that are new."""
    client.indices.put_mapping(
        index=list(STREAMS.values()),
        properties=properties(),
        allow_no_indices=True,
        ignore_unavailable=True,
    )


def install(client: Elasticsearch, retention: str) -> None:
    """Put all in place. The same again changes nothing."""
    for one in templates(retention):
        one.put(client)
    teach(client)
