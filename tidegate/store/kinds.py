"""The kinds of stores, and what other packages ask of them. A further kind is one more value of `KINDS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tidegate.settings import Elasticsearch, Settings
from tidegate.store.base import EventStore, Rebuilding, unreported
from tidegate.store.own_fields import LeftOut, ignore


@dataclass(frozen=True, slots=True)
class StoreKind:
    """A kind of store.

    Attributes:
        open: opens it, for searching only if `read_only`.
        server: the server that it is, which has a health and is seen by Kibana; None if it is files.
        folder: the folder of its files; None if it is a server.
    """

    open: Callable[[Settings, bool, LeftOut, Rebuilding], EventStore]
    server: Callable[[Settings], Elasticsearch | None] = lambda _: None
    folder: Callable[[Settings], Path | None] = lambda _: None


# Each imports only its own store: an import takes time, and needs its packages.
def _embedded(
    settings: Settings, read_only: bool, left_out: LeftOut, rebuilding: Rebuilding
) -> EventStore:
    from tidegate.store.embedded.store import EmbeddedReader, EmbeddedStore  # noqa: PLC0415

    root = _embedded_folder(settings)
    if read_only:
        return EmbeddedReader(root)
    return EmbeddedStore(root, left_out=left_out, rebuilding=rebuilding)


def _embedded_folder(settings: Settings) -> Path:
    return settings.stack.data_dir / "store"


def _elasticsearch(
    settings: Settings, read_only: bool, left_out: LeftOut, _: Rebuilding
) -> EventStore:
    from tidegate.store.elasticsearch.store import ElasticsearchStore  # noqa: PLC0415

    return ElasticsearchStore(settings.store.elasticsearch, read_only=read_only, left_out=left_out)


KINDS: Final = {
    "embedded": StoreKind(_embedded, folder=_embedded_folder),
    "elasticsearch": StoreKind(_elasticsearch, server=lambda each: each.store.elasticsearch),
}


def open_store(
    settings: Settings,
    *,
    read_only: bool = False,
    left_out: LeftOut = ignore,
    rebuilding: Rebuilding = unreported,
) -> EventStore:
    """Open the store that `store.kind` selects.

    Args:
        settings: The settings.
        read_only: Open it for searching only. The embedded store has one writer and any number of readers.
        left_out: Gets the stored events with values that cannot be searched.
        rebuilding: Is called meanwhile if an embedded store of another version is rebuilt.

    Raises:
        StoreUnavailableError: It cannot be opened for writing now. Opening a reader does not raise: the
            store may be created later.
    """
    return KINDS[settings.store.kind].open(settings, read_only, left_out, rebuilding)


def store_server(settings: Settings) -> Elasticsearch | None:
    """The server of the store; None if it is files."""
    return KINDS[settings.store.kind].server(settings)


def store_folder(settings: Settings) -> Path | None:
    """The folder of the store; None if it is a server."""
    return KINDS[settings.store.kind].folder(settings)
