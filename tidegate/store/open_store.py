"""Opens the configured store."""

from __future__ import annotations

from tidegate.settings import Settings
from tidegate.store.base import EventStore
from tidegate.store.own_fields import LeftOut, ignore


def open_store(
    settings: Settings, *, read_only: bool = False, left_out: LeftOut = ignore
) -> EventStore:
    """Open the store that `store.kind` selects.

    Args:
        settings: The settings; the embedded store is at `<stack.data_dir>/store`.
        read_only: Open it for searching only. The embedded store has one writer and any number of readers.
        left_out: Gets the stored events with values that cannot be searched.

    Raises:
        StoreUnavailableError: It cannot be opened for writing now. Opening a reader does not raise: the
            store may be created later.
    """
    # Import only the selected store: each import takes time.
    if settings.store.kind == "elasticsearch":
        from tidegate.store.elasticsearch.store import ElasticsearchStore  # noqa: PLC0415

        return ElasticsearchStore(
            settings.store.elasticsearch, read_only=read_only, left_out=left_out
        )
    from tidegate.store.embedded.store import EmbeddedReader, EmbeddedStore  # noqa: PLC0415

    root = settings.stack.data_dir / "store"
    return EmbeddedReader(root) if read_only else EmbeddedStore(root, left_out=left_out)
