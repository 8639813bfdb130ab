"""The event store: an embedded one (tantivy), or Elasticsearch."""

from tidegate.store.kinds import open_store

__all__ = ["open_store"]
