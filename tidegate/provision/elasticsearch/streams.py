"""Templates, and the update of existing data streams to changed templates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from elasticsearch import BadRequestError, Elasticsearch, NotFoundError

from tidegate.provision.elasticsearch.diff import differences, flatten, outcome
from tidegate.provision.elasticsearch.server import provision_errors
from tidegate.store.elasticsearch.templates import (
    STREAMS,
    Template,
    properties,
    templates,
    update_mappings,
)

DATE_FIELDS: Final = frozenset(
    {"created_date", "created_date_millis", "modified_date", "modified_date_millis"}
)


def put_templates(client: Elasticsearch, retention: str) -> Iterator[str]:
    """Create or update the templates; yields a line for each."""
    for template in templates(retention):
        title = f"{template.kind} template {template.name}"
        with provision_errors(title):
            present = _present(client, template)
            changed = [] if present is None else differences(template.body, present)
            if present is None or changed:
                template.put(client)
        yield f"{title}: {'created' if present is None else outcome(changed)}"


def _present(client: Elasticsearch, template: Template) -> dict[str, Any] | None:
    try:
        if template.kind == "component":
            response = client.cluster.get_component_template(name=template.name)
            body = dict(response["component_templates"][0]["component_template"])
        else:
            response = client.indices.get_index_template(name=template.name)
            body = dict(response["index_templates"][0]["index_template"])
            # Elasticsearch adds options with their default: `hidden: false`.
            body["data_stream"] = {name: on for name, on in body["data_stream"].items() if on}
    except NotFoundError:
        return None
    return {name: part for name, part in body.items() if name not in DATE_FIELDS}


def update_stream_mappings(client: Elasticsearch) -> str:
    """Add new fields to the mappings of existing streams; returns a line.

    Raises:
        ProvisionError: a field has another type, which only a new index can change.
    """
    title = "fields of existing streams"
    desired = flatten({"properties": properties()})
    with provision_errors(title):
        response = client.indices.get_mapping(
            index=list(STREAMS.values()), allow_no_indices=True, ignore_unavailable=True
        ).body
        present = [flatten(one["mappings"]) for one in response.values()]
        missing = {name for one in present for name in desired if one.get(name) != desired[name]}
        if missing:
            update_mappings(client)
    if not present:
        return f"{title}: there are none yet"
    fields = {name.removeprefix("properties.").replace(".properties.", ".") for name in missing}
    return f"{title}: {outcome(sorted({name.rpartition('.')[0] for name in fields}))}"


def update_stream_retention(client: Elasticsearch, retention: str) -> Iterator[str]:
    """Set the retention and the options of existing streams to those of new ones; yields a line for each."""
    title = "retention of existing streams"
    try:
        with provision_errors(title):
            found = _data_streams(client)
    except _NoDataStreamsError:
        yield f"{title}: unchanged, because this build of Elasticsearch has no API for it"
        return
    if not found:
        yield f"{title}: there are none yet"
    for stream in found:
        name = stream["name"]
        title = f"stream {name}"
        changed = []
        with provision_errors(title):
            lifecycle = stream.get("lifecycle", {})
            if not lifecycle.get("enabled") or lifecycle.get("data_retention") != retention:
                client.indices.put_data_lifecycle(name=name, data_retention=retention, enabled=True)
                changed.append(f"retention {lifecycle.get('data_retention', 'none')} → {retention}")
            if stream.get("failure_store", {}).get("enabled"):
                client.indices.put_data_stream_options(name=name, failure_store={"enabled": False})
                changed.append("failure store off")
        yield f"{title}: {outcome(changed)}"


class _NoDataStreamsError(Exception):
    """This build of Elasticsearch has no API for data streams."""


def _data_streams(client: Elasticsearch) -> list[dict[str, Any]]:
    try:
        response = client.indices.get_data_stream(name=list(STREAMS.values()))
    except BadRequestError as error:
        if "no handler found" in str(error.body):
            raise _NoDataStreamsError from error
        raise
    return list(response["data_streams"])
