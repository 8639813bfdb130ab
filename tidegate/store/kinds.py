"""The kinds of stores, and what other packages ask of them: `store.kind` selects one."""

from __future__ import annotations

from pathlib import Path

from tidegate.settings import Elasticsearch, Settings
from tidegate.store.base import EventStore, Owner, Rebuilding, unreported
from tidegate.store.own_fields import LeftOut, ignore


def open_store(
    settings: Settings,
    *,
    read_only: bool = False,
    left_out: LeftOut = ignore,
    rebuilding: Rebuilding = unreported,
) -> EventStore:
    """Open the store that `store.kind` selects.

    A server may hold the events of several stacks, so its readers get those of their own service and
    namespace. A folder holds those of one stack.

    Args:
        settings: The settings.
        read_only: Open it for searching only. The embedded store has one writer and any number of readers.
        left_out: Gets the stored events with values that cannot be searched.
        rebuilding: Is called meanwhile if an embedded store of another version is rebuilt.

    Raises:
        StoreUnavailableError: It cannot be opened for writing now. Opening a reader does not raise: the
            store may be created later.
    """
    # Each kind imports only its own store: an import takes time, and needs its packages.
    if server := store_server(settings):
        from tidegate.store.elasticsearch.store import ElasticsearchStore  # noqa: PLC0415

        return ElasticsearchStore(
            server, read_only=read_only, left_out=left_out, owner=owner(settings)
        )
    from tidegate.store.embedded.store import EmbeddedReader, EmbeddedStore  # noqa: PLC0415

    root = _folder(settings)
    if read_only:
        return EmbeddedReader(root)
    return EmbeddedStore(root, left_out=left_out, rebuilding=rebuilding)


def owner(settings: Settings) -> Owner:
    """Return whose events the readers of a stack with these settings get."""
    service = settings.service
    name = service.name if "name" in service.model_fields_set else ""
    return Owner(name, service.namespace)


def store_server(settings: Settings) -> Elasticsearch | None:
    """The server of the store, which has a health and is seen by Kibana; None if it is files."""
    store = settings.store
    return store.elasticsearch if store.kind == "elasticsearch" else None


def store_folder(settings: Settings) -> Path | None:
    """The folder of the store; None if it is a server."""
    return None if store_server(settings) else _folder(settings)


def _folder(settings: Settings) -> Path:
    return settings.stack.data_dir / "store"
