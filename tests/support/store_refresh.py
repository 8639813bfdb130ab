"""Makes events that were appended searchable at once, where a test asks what was appended."""

from __future__ import annotations

from tidegate.store.base import EventStore
from tidegate.store.elasticsearch.store import ElasticsearchStore
from tidegate.store.elasticsearch.templates import STREAMS


def refresh(store: EventStore) -> None:
    """Refresh the streams of an Elasticsearch, which it does itself once a second only."""
    if isinstance(store, ElasticsearchStore):
        store._client.indices.refresh(
            index=",".join(STREAMS.values()), allow_no_indices=True, ignore_unavailable=True
        )
