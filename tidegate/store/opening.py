"""Opens the store that the settings name."""

from __future__ import annotations

from tidegate.settings import Settings
from tidegate.store.base import EventStore


def open_store(settings: Settings, *, read_only: bool = False) -> EventStore:
    """The store of the settings.

    Args:
        settings: `store.kind` says which; the embedded one is `<stack.data_dir>/store`.
        read_only: only search. The embedded store has one writer, and any number of readers.

    Raises:
        StoreUnavailableError: it cannot be opened now. A reader does not raise here: what is not
            there yet may come.
    """
    # Only what is asked for is imported: each of the two takes a while.
    if settings.store.kind == "elasticsearch":
        from tidegate.store.elasticsearch import ElasticsearchStore  # noqa: PLC0415

        return ElasticsearchStore(settings.store.elasticsearch, read_only=read_only)
    from tidegate.store.embedded import EmbeddedReader, EmbeddedStore  # noqa: PLC0415

    root = settings.stack.data_dir / "store"
    return EmbeddedReader(root) if read_only else EmbeddedStore(root)
