"""The embedded store: a tantivy index in a folder, with one writing process and any number of readers.

An event is kept as the bytes of its line, next to its values that can be searched, each in a typed field
of its own. Why so: docs/adr/tantivy-as-the-embedded-store.md.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import tantivy
from tantivy import FieldType, Occur, Order, Query

from tidegate.events import Event
from tidegate.runtime.atomic_files import sync_folder
from tidegate.runtime.locks import LockedError, exclusive_lock
from tidegate.runtime.private_files import make_private_folder
from tidegate.store import index, layout, lucene, moments
from tidegate.store.aggregations import Dialect
from tidegate.store.base import (
    QueryError,
    Rejected,
    SearchRequest,
    SearchResult,
    StoreUnavailableError,
)
from tidegate.store.compiler import Compiler
from tidegate.store.fields import TIMESTAMP, RefusedError, catalogue, digest
from tidegate.store.layout import Layout
from tidegate.store.requests import check
from tidegate.store.words import words

HEAP_BYTES: Final = 64_000_000
# Two threads would make two segments a commit, and the machine has other work to do.
WRITER_THREADS: Final = 1
COPY_EVENTS: Final = 1000
# Times are whole numbers in the index, in microseconds: tantivy's own dates have seconds there.
DIALECT: Final = Dialect(
    lambda interval: {
        "histogram": {
            "field": TIMESTAMP,
            "interval": interval.total_seconds() * 1e6,
            "min_doc_count": 0,
        }
    },
    key_microseconds=1,
)


class EmbeddedReader:
    """Searches a store that another process may be writing. It begins to find once there is one."""

    def __init__(self, root: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)):
        self._root = root
        self._now = now
        self._lock = threading.Lock()
        self._folder = ""
        self._index: tantivy.Index | None = None
        self._state = (0, 0)

    def append(self, events: Sequence[Event]) -> list[Rejected]:
        """A reader stores nothing.

        Raises:
            StoreUnavailableError: always, if there are events.
        """
        if not events:
            return []
        raise StoreUnavailableError(f"{self._root} is open for reading only")

    def search(self, request: SearchRequest) -> SearchResult:
        """Find events; what a writer's `append` returned from, in any process, is found."""
        check(request)
        tree = lucene.parse(request.query)
        with self._lock:
            opened = self._current()
            searcher = opened.searcher()
        compiler = Compiler(opened.schema, searcher, catalogue(), words, self._now())
        query = _narrowed(opened.schema, compiler.compile(tree), request)
        try:
            return _answer(searcher, query, request)
        except ValueError as error:
            raise QueryError(f"this cannot be answered: {error}") from error
        except OSError as error:
            raise StoreUnavailableError(f"{self._root} cannot be read: {error}") from error

    def close(self) -> None:
        """Let go of the files."""
        with self._lock:
            self._index = None
            self._folder = ""

    def _current(self) -> tantivy.Index:
        """The index as of the last commit."""
        held = self._layout()
        folder = self._root / held.folder
        try:
            state = index.state(folder)
            if self._index is None or held.folder != self._folder:
                self._index, self._folder = index.open_index(folder), held.folder
                self._index.reload()
            elif state != self._state:
                self._index.reload()
        except (ValueError, OSError) as error:
            self._index = None
            raise StoreUnavailableError(f"{folder} cannot be opened: {error}") from error
        self._state = state
        return self._index

    def _layout(self) -> Layout:
        held = layout.read(self._root)
        if held is None:
            raise StoreUnavailableError(
                f"there is no store at {self._root} yet: has the stack been started?"
            )
        if held.fields != digest():
            raise StoreUnavailableError(
                f"{self._root} was written by another version of Tidegate: "
                "restart the stack, and it is brought up to date"
            )
        return held


class EmbeddedStore(EmbeddedReader):
    """The writer: one process at a time. An index with other fields than ours is made anew first."""

    def __init__(self, root: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)):
        """Open the store in a folder, or begin one.

        Raises:
            StoreUnavailableError: another process writes to it, it is in an unknown format, or the
                folder cannot be used.
        """
        super().__init__(root, now=now)
        self._writing = threading.Lock()
        self._writer: tantivy.IndexWriter | None = None
        self._closed = False
        self._writer_lock = ExitStack()
        self._writer_lock.enter_context(_only_writer(root))
        try:
            held = layout.read(root)
            if held is None or held.fields != digest():
                held = _make(root, held)
            layout.remove_others(root, held.folder)
            with self._unavailable():
                self._written = index.open_index(root / held.folder)
        except BaseException:
            self._writer_lock.close()
            raise

    def append(self, events: Sequence[Event]) -> list[Rejected]:
        """Store the events with one commit. Of those with one id the first is kept, as by `create`."""
        rejected = []
        with self._writing, self._unavailable():
            writer = self._open_writer()
            self._written.reload()
            before, now = self._written.searcher(), set[str]()
            for number, event in enumerate(events):
                try:
                    identity, document = index.document(event, self._written.schema)
                except RefusedError as error:
                    rejected.append(Rejected(number, str(error)))
                    continue
                if identity not in now and not before.doc_freq(index.ID_FIELD, identity):
                    writer.add_document(document)
                    now.add(identity)
            writer.commit()
        return rejected

    def prune(self, before: datetime) -> int:
        """Remove the events of before a moment; how many they were."""
        schema = self._written.schema
        old = _times(schema, None, moments.to_microseconds(before))
        with self._writing, self._unavailable():
            self._written.reload()
            count = index.count(self._written.searcher().search(old, 1))
            if count:
                writer = self._open_writer()
                writer.delete_documents_by_query(old)
                writer.commit()
        return count

    def close(self) -> None:
        """Let go of the files, once segments are merged."""
        super().close()
        with self._writing:
            if self._writer is not None:
                self._writer.wait_merging_threads()
                self._writer = None
            self._closed = True
            self._writer_lock.close()

    def _open_writer(self) -> tantivy.IndexWriter:
        if self._closed:
            raise StoreUnavailableError(f"{self._root} is closed")
        if self._writer is None:
            self._writer = self._written.writer(HEAP_BYTES, WRITER_THREADS)
        return self._writer

    @contextmanager
    def _unavailable(self) -> Iterator[None]:
        """A writer that failed (a full disk, say) is given up, and the next try takes a new one."""
        try:
            yield
        except (ValueError, OSError) as error:
            self._writer = None
            raise StoreUnavailableError(f"{self._root} cannot be written: {error}") from error


@contextmanager
def _only_writer(root: Path) -> Iterator[None]:
    """Be the only process that writes to the store inside the block."""
    with ExitStack() as stack:
        try:
            make_private_folder(root)
            stack.enter_context(exclusive_lock(root / "writer.lock"))
        except LockedError as error:
            raise StoreUnavailableError(f"another process writes to {root}") from error
        except OSError as error:
            raise StoreUnavailableError(f"{root} cannot be written: {error}") from error
        yield


def _make(root: Path, held: Layout | None) -> Layout:
    """A new index, with the events of the held one if there is one; then it is the store's."""
    made = Layout(digest(), layout.new_folder(root, digest()))
    try:
        new = index.create(root / made.folder)
        if held is not None:
            writer = new.writer(HEAP_BYTES, WRITER_THREADS)
            for events in _all_events(root / held.folder):
                for event in events:
                    # What contradicts the new mapping cannot be kept.
                    with suppress(RefusedError):
                        writer.add_document(index.document(event, new.schema)[1])
                writer.commit()
            writer.wait_merging_threads()
        sync_folder(root)
        layout.write(root, made)
    except (ValueError, OSError) as error:
        raise StoreUnavailableError(f"{root} cannot be written: {error}") from error
    return made


def _all_events(folder: Path) -> Iterator[list[Event]]:
    old = index.open_index(folder)
    old.reload()
    searcher = old.searcher()
    hits = searcher.search(Query.all_query(), max(1, searcher.num_docs), count=False).hits
    for start in range(0, len(hits), COPY_EVENTS):
        yield [
            index.event(searcher.doc(address)) for _, address in hits[start : start + COPY_EVENTS]
        ]


def _narrowed(schema: tantivy.Schema, query: Query, request: SearchRequest) -> Query:
    parts = [query]
    if request.since is not None or request.until is not None:
        since, until = (
            None if moment is None else moments.to_microseconds(moment)
            for moment in (request.since, request.until)
        )
        parts.append(_times(schema, since, until))
    if request.stream is not None:
        parts.append(Query.term_query(schema, "data_stream.type", request.stream, "basic"))
    return Query.boolean_query([(Occur.Must, part) for part in parts])


def _times(schema: tantivy.Schema, since: int | None, until: int | None) -> Query:
    """From `since` to before `until`, in microseconds since 1970."""
    return Query.range_query(
        schema, TIMESTAMP, FieldType.Integer, since, until, include_upper=until is None
    )


def _answer(searcher: tantivy.Searcher, query: Query, request: SearchRequest) -> SearchResult:
    # tantivy's limit is at least 1, also for those who only want to count.
    found = searcher.search(
        query,
        max(1, request.size),
        order_by_field=TIMESTAMP,
        order=Order.Asc if request.order == "asc" else Order.Desc,
    )
    hits = [index.event(searcher.doc(address)) for _, address in found.hits[: request.size]]
    answers = {}
    if request.aggregations:
        answer = searcher.aggregate(query, DIALECT.request(request.aggregations))
        answers = DIALECT.results(request.aggregations, answer)
    return SearchResult(index.count(found), hits, answers)
