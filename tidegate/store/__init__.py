"""Where events can be searched: the embedded store (tantivy), or Elasticsearch."""

from tidegate.store.opening import open_store

__all__ = ["open_store"]
