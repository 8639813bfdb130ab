"""Templates, and the data streams that were made before those came or changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from elasticsearch import ApiError, BadRequestError, Elasticsearch, NotFoundError

from tidegate.provision.elasticsearch.diff import differences, flat, outcome
from tidegate.provision.elasticsearch.server import asking
from tidegate.store.elasticsearch.templates import (
    STREAMS,
    Template,
    properties,
    templates,
    update_mappings,
)

DATES: Final = frozenset(
    {"created_date", "created_date_millis", "modified_date", "modified_date_millis"}
)


def put_templates(client: Elasticsearch, retention: str) -> Iterator[str]:
    """Put what is not as wanted, and say in a line what was done with each.

    Raises:
        ProvisionError: Elasticsearch refuses one.
    """
    for template in templates(retention):
        title = f"{template.kind} template {template.name}"
        with asking(title):
            there = _there(client, template)
            changed = [] if there is None else differences(template.body, there)
            if there is None or changed:
                template.put(client)
        yield f"{title}: {'created' if there is None else outcome(changed)}"


def _there(client: Elasticsearch, template: Template) -> dict[str, Any] | None:
    try:
        if template.kind == "component":
            answer = client.cluster.get_component_template(name=template.name)
            body = dict(answer["component_templates"][0]["component_template"])
        else:
            answer = client.indices.get_index_template(name=template.name)
            body = dict(answer["index_templates"][0]["index_template"])
            # It adds what a data stream could be and is not: `hidden: false`.
            body["data_stream"] = {name: on for name, on in body["data_stream"].items() if on}
    except NotFoundError:
        return None
    return {name: part for name, part in body.items() if name not in DATES}


def teach_streams(client: Elasticsearch) -> str:
    """Let streams that are there already learn fields that are new, and say so in a line.

    Raises:
        ProvisionError: a field has another type there, which only a new index can change.
    """
    title = "fields of existing streams"
    wanted = flat({"properties": properties()})
    with asking(title):
        answer = client.indices.get_mapping(
            index=list(STREAMS.values()), allow_no_indices=True, ignore_unavailable=True
        ).body
        there = [flat(one["mappings"]) for one in answer.values()]
        lacking = {name for one in there for name in wanted if one.get(name) != wanted[name]}
        if lacking:
            update_mappings(client)
    if not there:
        return f"{title}: there are none yet"
    fields = {name.removeprefix("properties.").replace(".properties.", ".") for name in lacking}
    return f"{title}: {outcome(sorted({name.rpartition('.')[0] for name in fields}))}"


def keep_streams(client: Elasticsearch, retention: str) -> Iterator[str]:
    """Give streams that are there already the retention and the options that new ones get; a line for each.

    Raises:
        ProvisionError: Elasticsearch refuses it.
    """
    title = "retention of existing streams"
    try:
        with asking(title):
            found = _data_streams(client)
    except _NoDataStreamsError:
        yield f"{title}: this build of Elasticsearch has no API for it, they keep theirs"
        return
    if not found:
        yield f"{title}: there are none yet"
    for stream in found:
        name = stream["name"]
        title = f"stream {name}"
        changed = []
        with asking(title):
            lifecycle = stream.get("lifecycle", {})
            if not lifecycle.get("enabled") or lifecycle.get("data_retention") != retention:
                client.indices.put_data_lifecycle(name=name, data_retention=retention, enabled=True)
                changed.append(f"retention {lifecycle.get('data_retention', 'none')} → {retention}")
            if stream.get("failure_store", {}).get("enabled"):
                client.indices.put_data_stream_options(name=name, failure_store={"enabled": False})
                changed.append("failure store off")
        yield f"{title}: {outcome(changed)}"


class _NoDataStreamsError(Exception):
    """This build of Elasticsearch has data streams without an API for them."""


def _data_streams(client: Elasticsearch) -> list[dict[str, Any]]:
    try:
        answer = client.indices.get_data_stream(name=list(STREAMS.values()))
    except BadRequestError as error:
        if "no handler found" in _text(error):
            raise _NoDataStreamsError from error
        raise
    return list(answer["data_streams"])


def _text(error: ApiError) -> str:
    return str(error.body)
