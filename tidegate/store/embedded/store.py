"""The embedded store: a tantivy index in a folder, with one writer process and any number of readers.

An event is stored as the bytes of its line, and each searchable value in a typed field. For the reasons
see docs/adr/tantivy-as-the-embedded-store.md.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import tantivy
from tantivy import Query

from tidegate.events.event import Event
from tidegate.runtime.atomic_files import sync_folder
from tidegate.runtime.locks import LockedError, exclusive_lock
from tidegate.runtime.private_files import make_private_folder
from tidegate.store.base import (
    Damage,
    QueryError,
    Rebuilding,
    Rejected,
    SearchRequest,
    SearchResult,
    StoreUnavailableError,
    unreported,
)
from tidegate.store.embedded import folder as layout
from tidegate.store.embedded import index
from tidegate.store.embedded.compiler import Compiler
from tidegate.store.embedded.execution import run, times, with_filters, within_time
from tidegate.store.embedded.folder import Layout
from tidegate.store.embedded.integrity import Integrity
from tidegate.store.embedded.repair import damaged_segments, repair
from tidegate.store.embedded.text_analysis import tokenize
from tidegate.store.fields import RefusedError, catalogue, digest
from tidegate.store.mapping_conflicts import move_conflicting_values
from tidegate.store.own_fields import LeftOut, ignore, rewrite
from tidegate.store.query import parser, time_ranges
from tidegate.store.requests import check

LOCK: Final = "writer.lock"
HEAP_BYTES: Final = 64_000_000
# Two threads would write two segments per commit, and use a second core.
WRITER_THREADS: Final = 1
# A list of the places of all events would take 185 bytes each.
COPY_EVENTS: Final = 100_000
# Events of a rebuild between two reports: two seconds.
REPORT_EVENTS: Final = 20_000
# The messages of tantivy about damaged files; others are about the query.
DAMAGE: Final = ("An IO error occurred", "Data corrupted")


class EmbeddedReader:
    """Searches a store that another process may write to. The store may be created later."""

    def __init__(self, root: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)):
        self._root = root
        self._now = now
        self._lock = threading.Lock()
        self._folder = ""
        self._index: tantivy.Index | None = None
        self._state = (0, 0)

    def append(self, events: Sequence[Event]) -> list[Rejected]:
        """Raise: a reader cannot store events.

        Raises:
            StoreUnavailableError: Always, unless `events` is empty.
        """
        if not events:
            return []
        raise StoreUnavailableError(f"{self._root} is open for reading only")

    def search(self, request: SearchRequest) -> SearchResult:
        """Search events; events of a completed `append` in any process are visible."""
        check(request)
        tree = rewrite(parser.parse(request.query))
        with self._lock:
            opened = self._current()
            searcher = opened.searcher()
        compiler = Compiler(opened.schema, searcher, catalogue(), tokenize, self._now())

        def search() -> SearchResult:
            query = with_filters(opened.schema, compiler.compile(tree), request)
            return run(searcher, query, request)

        try:
            return within_time(search)
        except QueryError:
            raise
        except ValueError as error:
            if str(error).startswith(DAMAGE):
                raise StoreUnavailableError(
                    f"{self._root} is damaged ({error}): `tidegate doctor` says where; a collector that is"
                    " started again sets the damaged part aside and restores what its event files contain"
                ) from error
            raise QueryError(f"the search failed: {error}") from error
        except OSError as error:
            raise StoreUnavailableError(f"{self._root} cannot be read: {error}") from error

    def close(self) -> None:
        """Release the files."""
        with self._lock:
            self._index = None
            self._folder = ""

    def _current(self) -> tantivy.Index:
        """Return the index at the last commit."""
        current = self._layout()
        folder = self._root / current.folder
        try:
            state = index.state(folder)
            if self._index is None or current.folder != self._folder:
                self._index, self._folder = index.open_index(folder), current.folder
                self._index.reload()
            elif state != self._state:
                self._index.reload()
        except (ValueError, OSError) as error:
            self._index = None
            reason = layout.unusable(self._root) or f"{folder} cannot be opened: {error}"
            raise StoreUnavailableError(reason) from error
        self._state = state
        return self._index

    def _layout(self) -> Layout:
        current = layout.read(self._root)
        if current is None:
            raise StoreUnavailableError(
                f"there is no store at {self._root}: has the stack been started?"
            )
        if current.fields != digest():
            raise StoreUnavailableError(
                f"{self._root} was written by another version of Tidegate: the collector rebuilds it when the"
                " stack is started, in a minute for 300,000 events"
            )
        return current


class EmbeddedStore(EmbeddedReader):
    """The writer, one process at a time.

    It rebuilds an index that has other fields than the mapping, and sets damaged parts aside.
    """

    def __init__(
        self,
        root: Path,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        left_out: LeftOut = ignore,
        rebuilding: Rebuilding = unreported,
    ):
        """Open the store in a folder, or create one.

        Raises:
            Exception: What `rebuilding` raises; the next opening begins anew.
            StoreUnavailableError: Another process writes to it, its format is unknown, or the folder
                is not usable.
        """
        super().__init__(root, now=now)
        self._writing = threading.Lock()
        self._writer: tantivy.IndexWriter | None = None
        self._closed = False
        self._left_out = left_out
        self._rebuilding = rebuilding
        self._integrity = Integrity()
        self._events: int | None = None
        self._writer_lock = ExitStack()
        self._written, self._written_folder = self._open()

    def _open(self) -> tuple[tantivy.Index, str]:
        """Open the index, without its damaged parts, or create it."""
        root = self._root
        try:
            with self._unavailable():
                make_private_folder(root)
                self._writer_lock.enter_context(exclusive_lock(root / LOCK))
                # A copy of the events reads everything, so it needs undamaged files.
                outdated = _fields(root) != digest()
                repair(root, self._integrity, self._events, content=outdated)
                current = layout.read(root)
                if current is None and layout.read_damage(root) is None:
                    reason = f"there was no store in {root}"
                    layout.mark_damage(root, Damage(reason, self._events, created=True))
                if current is None or current.fields != digest():
                    current = _build(root, current, self._rebuilding)
                layout.remove_others(root, current.folder)
                return index.open_index(root / current.folder), current.folder
        except LockedError as error:
            raise StoreUnavailableError(f"another process writes to {root}") from error
        except BaseException:
            self._writer_lock.close()
            raise

    def mark(self) -> int:
        """Return the number of the last commit, which grows with each, also over rebuilds."""
        with self._unavailable():
            return self._mark()

    def _mark(self) -> int:
        return index.mark(self._root / self._written_folder)

    def check(self, *, content: bool, mark: int = 0) -> Damage | None:
        """Set damaged parts of the store aside, also a store whose folder was deleted.

        Args:
            content: Whether the content of new and changed files is checked, and not only their existence.
            mark: The mark of the last known commit; a store before it is an older copy, put back.

        Returns:
            The damage, also that there was no store, until `forget_damage`: it survives a restart.
        """
        with self._writing, self._unavailable():
            if not self._closed and not self._is_whole(content=content, mark=mark):
                if self._writer is not None:
                    # Otherwise a merge that ends later replaces meta.json.
                    with suppress(ValueError, OSError):
                        self._writer.wait_merging_threads()
                    self._writer = None
                repair(self._root, self._integrity, self._events, content=content)
                self._writer_lock.close()
                self._written_folder = ""  # not whole until it is open again
                self._written, self._written_folder = self._open()
                if self._mark() < mark and layout.read_damage(self._root) is None:
                    reason = f"{self._root} is an older copy of the store"
                    layout.mark_damage(self._root, Damage(reason, None))
            return layout.read_damage(self._root)

    def forget_damage(self) -> None:
        """Say that the events of the damaged part will be delivered again, even after a kill."""
        with self._writing, self._unavailable():
            layout.forget_damage(self._root)

    def count(self) -> int:
        """Return the number of events."""
        with self._writing, self._unavailable():
            self._written.reload()
            return int(self._written.searcher().num_docs)

    def _is_whole(self, *, content: bool, mark: int) -> bool:
        folder = self._root / self._written_folder
        try:
            current = layout.read(self._root)
            return (
                current is not None
                and current.folder == self._written_folder
                and (self._root / LOCK).exists()
                and not damaged_segments(folder, self._integrity, content=content)
                and self._mark() >= mark
            )
        except (layout.DamagedLayoutError, ValueError):
            return False

    def append(self, events: Sequence[Event]) -> list[Rejected]:
        """Store the events in one commit. The first event with an id wins, as with `create`."""
        rejected = []
        documents = dict[str, str]()
        with self._writing, self._unavailable():
            writer = self._open_writer()
            self._written.reload()
            before = self._written.searcher()
            for number, event in enumerate(events):
                try:
                    identity, document = index.document(event, self._left_out)
                except RefusedError as error:
                    rejected.append(Rejected(number, str(error)))
                    continue
                if identity not in documents and not before.doc_freq(index.ID_FIELD, identity):
                    documents[identity] = document
            # One after the other: tantivy's thread would sleep and wake for each that it had to wait for.
            for document in documents.values():
                writer.add_json(document)
            writer.commit()
            # tantivy does not flush the new name of meta.json, and the files of these events may be deleted.
            sync_folder(self._root / self._written_folder)
            self._events = before.num_docs + len(documents)
        return rejected

    def prune(self, before: datetime) -> int:
        """Delete the events before a time, and return their number."""
        schema = self._written.schema
        old = times(schema, None, time_ranges.to_microseconds(before))
        with self._writing, self._unavailable():
            self._written.reload()
            count = index.count(self._written.searcher().search(old, 1))
            if count:
                writer = self._open_writer()
                writer.delete_documents_by_query(old)
                writer.commit()
                if self._events is not None:
                    self._events -= count
        return count

    def close(self) -> None:
        """Wait until segments are merged, and release the files."""
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
        """Discard a writer that failed, for example on a full disk; the next call opens a new one."""
        try:
            yield
        except (ValueError, OSError) as error:
            self._writer = None
            raise StoreUnavailableError(f"{self._root} cannot be written: {error}") from error


def _fields(root: Path) -> str:
    """Return the fingerprint of the fields of a store; empty if it has no readable layout."""
    try:
        current = layout.read(root)
    except layout.DamagedLayoutError:
        return ""
    return current.fields if current else ""


def _build(root: Path, previous: Layout | None, rebuilding: Rebuilding) -> Layout:
    """Create an index with the events of the previous one, if any, and activate it."""
    built = Layout(digest(), layout.new_folder(root, digest()))
    # What an earlier attempt left takes the room that this one needs.
    layout.remove_others(root, previous.folder if previous else "")
    mark = index.mark(root / previous.folder) if previous else 0
    new = index.create(root / built.folder, mark)
    left_out = 0
    if previous is not None:
        writer = new.writer(HEAP_BYTES, WRITER_THREADS)
        for event in _all_events(root / previous.folder, rebuilding):
            if (document := _document(event)) is None:
                left_out += 1
            else:
                writer.add_json(document)
        writer.commit()
        writer.wait_merging_threads()
        # As after each commit: an empty index would have the mark of the previous one, which is deleted next.
        sync_folder(root / built.folder)
    sync_folder(root)
    if left_out and layout.read_damage(root) is None:
        # Their lines go to the quarantine, as far as their files still exist: they do not come back.
        reason = f"{root} had {left_out} events that this version of Tidegate refuses"
        layout.mark_damage(root, Damage(reason, None))
    layout.write(root, built)
    return built


def _document(event: Event) -> str | None:
    """Return the document of an event of another mapping, as a delivery would; None if it is refused."""
    with suppress(RefusedError):
        return index.document(event)[1]
    moved = move_conflicting_values(event)
    with suppress(RefusedError):
        return None if moved is None else index.document(moved)[1]
    return None


def _all_events(folder: Path, rebuilding: Rebuilding) -> Iterator[Event]:
    old = index.open_index(folder)
    old.reload()
    searcher = old.searcher()
    for start in range(0, searcher.num_docs, COPY_EVENTS):
        found = searcher.search(Query.all_query(), COPY_EVENTS, count=False, offset=start)
        for number, (_, address) in enumerate(found.hits, start):
            if number % REPORT_EVENTS == 0:
                rebuilding(number, searcher.num_docs)
            yield index.event(searcher.doc(address))
