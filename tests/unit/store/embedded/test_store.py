"""Behaviour of the embedded store only; the contract tests of stores are in tests/integration/store."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tantivy
from hypothesis import given, settings
from hypothesis import strategies as st

from support.components import examples
from support.doubles.raising import no_space_left, raising
from support.samples.numbered_events import START, event, messages
from tidegate.store import fields, mapping_conflicts
from tidegate.store.base import QueryError, SearchRequest, SearchResult, StoreUnavailableError
from tidegate.store.embedded import compiler
from tidegate.store.embedded import folder as layout
from tidegate.store.embedded import store as embedded
from tidegate.store.embedded.execution import within_time
from tidegate.store.embedded.folder import Layout
from tidegate.store.embedded.repair import problem
from tidegate.store.embedded.store import EmbeddedReader, EmbeddedStore
from tidegate.store.fields import DocumentAddress, RefusedError, document_address
from tidegate.store.query.tree import Node


def test_a_double_is_found_by_each_of_its_digits(store: EmbeddedStore) -> None:
    chance = random.Random(1)
    values = [chance.random() for _ in range(100)]
    values += [1e-5, 1e-23, 1e23, 5e-324, 1.7976931348623157e308]
    values += [-(2.0**70), 0.1, -0.05, 4503599627370497.5]
    all_in_one = len(values)
    numbered = enumerate([*values, values])
    store.append([event(n, tidegate={"prediction": {"value": value}}) for n, value in numbered])
    for number, one in enumerate(values):
        found = messages(store, f'tidegate.prediction.value:["{one!r}" TO "{one!r}"]')
        assert sorted(found) == sorted([f"number {number}", f"number {all_in_one}"]), one


def test_a_second_writer_is_refused_until_the_first_is_closed(
    root: Path, store: EmbeddedStore
) -> None:
    with pytest.raises(StoreUnavailableError, match="another process writes to"):
        EmbeddedStore(root)
    store.close()
    EmbeddedStore(root).close()


def test_a_kill_keeps_committed_events_and_releases_the_lock(root: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; import orjson;"
        "from tidegate.store.embedded.store import EmbeddedStore;"
        "EmbeddedStore(Path(sys.argv[1])).append([orjson.loads(sys.argv[2])]); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", program, str(root), json.dumps(event(1))], check=False
    )
    assert killed.returncode == -9
    with closing(EmbeddedStore(root)) as again:
        again.append([event(1), event(2)])
        assert messages(again) == ["number 1", "number 2"]


def test_a_reader_can_be_opened_before_the_store_exists(root: Path) -> None:
    reader = EmbeddedReader(root)
    with pytest.raises(StoreUnavailableError, match="has the stack been started"):
        reader.search(SearchRequest())
    with closing(EmbeddedStore(root)) as writer:
        assert messages(reader) == []
        writer.append([event(1)])
        assert messages(reader) == ["number 1"]


def test_pruning_deletes_older_events_only(store: EmbeddedStore) -> None:
    store.append([event(number) for number in range(5)])
    assert store.prune(START + timedelta(seconds=2)) == 2
    assert store.prune(START + timedelta(seconds=2)) == 0
    assert messages(store) == ["number 2", "number 3", "number 4"]


@pytest.mark.parametrize("number", [1, 99])
def test_another_format_is_refused_with_a_message(root: Path, number: int) -> None:
    EmbeddedStore(root).close()
    (root / "format.json").write_text(f'{{"format": {number}, "fields": "x", "folder": "y"}}')
    for open_it in (EmbeddedStore, lambda path: EmbeddedReader(path).search(SearchRequest())):
        message = rf"format {number}, and this version .* supports format 2"
        with pytest.raises(StoreUnavailableError, match=message):
            open_it(root)
    assert f"format {number}" in problem(root, content=True)


def test_a_changed_mapping_rebuilds_the_index_and_readers_follow(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "COPY_EVENTS", 2)
    with closing(EmbeddedStore(root)) as old:
        old.append([event(number) for number in range(-2, 3)])
        old.append([event(1)])
        old.prune(START)
        mark = old.mark()
    before = layout.read(root)
    assert before is not None
    reader = EmbeddedReader(root)
    assert len(messages(reader)) == 3
    for module in (fields, embedded):
        monkeypatch.setattr(module, "digest", lambda: "0123456789abcdef")
    with pytest.raises(StoreUnavailableError, match="another version of Tidegate"):
        messages(reader)
    monkeypatch.setattr(embedded, "REPORT_EVENTS", 2)

    def stopped(done: int, events: int) -> None:
        if done:
            raise StoreUnavailableError(f"stopped at {done} of {events}")

    with pytest.raises(StoreUnavailableError, match="stopped at 2 of 3"):
        EmbeddedStore(root, rebuilding=stopped)
    reports = list[tuple[int, int]]()
    with closing(
        EmbeddedStore(root, rebuilding=lambda done, events: reports.append((done, events)))
    ) as new:
        assert reports == [(0, 3), (2, 3)]
        assert layout.read(root) == Layout("0123456789abcdef", "index-0123456789abcdef-1")
        assert new.mark() > mark, "it is no older copy"
        assert messages(new, "log.level:info") == ["number 0", "number 1", "number 2"]
        assert messages(reader) == ["number 0", "number 1", "number 2"]
        assert not (root / before.folder).exists()
        after = new.mark()
    (root / "format.json").unlink()
    with closing(EmbeddedStore(root)) as new:
        assert new.mark() == after, "nor is one that lost its layout, which is not rebuilt"


def test_a_rebuild_keeps_what_no_longer_fits_and_says_what_it_cannot_keep(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(EmbeddedStore(root)) as old:
        old.append([event(1), event(2, shop="Berlin"), event(3)])
        old.forget_damage()
    for module in (fields, embedded):
        monkeypatch.setattr(module, "digest", lambda: "0123456789abcdef")
    for module in (fields, mapping_conflicts):
        monkeypatch.setattr(module, "is_refused_name", lambda name, path: name == "shop")

    def refuse_the_third(one: dict[str, Any]) -> DocumentAddress:
        if one["message"] == "number 3":
            raise RefusedError("no")
        return document_address(one)

    monkeypatch.setattr("tidegate.store.embedded.index.document_address", refuse_the_third)
    with closing(EmbeddedStore(root)) as new:
        assert messages(new) == ["number 1", "number 2"]
        (second,) = new.search(SearchRequest(query='"number 2"')).hits
        assert second["tidegate"]["misfits"] == {"shop": "Berlin"}
        damage = new.check(content=True)
    assert damage is not None
    assert f"{root} had 1 events that this version of Tidegate refuses" in damage.reason


def test_a_rebuild_that_fails_again_and_again_leaves_one_torso(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(EmbeddedStore(root)) as old:
        old.append([event(1)])
    for module in (fields, embedded):
        monkeypatch.setattr(module, "digest", lambda: "0123456789abcdef")
    with monkeypatch.context() as patched:
        patched.setattr("tidegate.store.embedded.index.document", no_space_left())
        for _ in range(3):
            with pytest.raises(StoreUnavailableError, match="No space left"):
                EmbeddedStore(root)
    assert len([*root.glob("index-*")]) == 2
    with closing(EmbeddedStore(root)) as new:
        assert messages(new) == ["number 1"]


def test_files_of_an_unfinished_rebuild_are_removed(root: Path) -> None:
    left = root / f"index-{fields.digest()}-0"
    left.mkdir(parents=True)
    (left / "torso").write_text("")
    with closing(EmbeddedStore(root)) as store:
        store.append([event(1)])
        assert messages(store) == ["number 1"]
    assert not left.exists()


def test_a_failed_writer_is_replaced_at_the_next_append(
    root: Path, store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append([event(1)])
    with monkeypatch.context() as patched:
        patched.setattr("tidegate.store.embedded.index.document", no_space_left())
        with pytest.raises(StoreUnavailableError, match="No space left"):
            store.append([event(2)])
    store.append([event(2)])
    assert messages(store) == ["number 1", "number 2"]


def test_a_search_that_takes_too_long_is_an_error() -> None:
    ended = threading.Event()

    def slow() -> SearchResult:
        ended.wait(60)
        return SearchResult(0, [], {})

    with pytest.raises(QueryError, match="the search took longer than"):
        within_time(slow, seconds=0.05)
    ended.set()


def test_a_range_over_too_many_values_is_an_error(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler, "MAX_TERMS", 3)
    store.append([event(number, tidegate={"price": number}) for number in range(3)])
    assert len(messages(store, "tidegate.price:>=1")) == 2
    store.append([event(3, tidegate={"price": 3})])
    with pytest.raises(QueryError, match="more than 3 different values"):
        messages(store, "tidegate.price:>=1")


def test_a_pattern_that_too_many_ids_match_is_an_error(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler, "MAX_IDS", 2)
    store.append([event(number, trace={"id": f"a{number}"}) for number in range(3)])
    assert len(messages(store, "trace.id:/a[12]/")) == 2
    with pytest.raises(QueryError, match=r"more than 2 different trace\.id match"):
        messages(store, "trace.id:a*")


@pytest.mark.parametrize("query", ["trace.id:a1~", "span.id:[a TO b]"])
def test_a_fuzzy_search_or_a_range_of_ids_is_an_error(store: EmbeddedStore, query: str) -> None:
    with pytest.raises(QueryError, match="is an id"):
        messages(store, query)


def test_a_damaged_column_is_no_error_of_the_pattern(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = raising(ValueError("Data corrupted: 'the column'"))

    def compiler_of(schema: tantivy.Schema, _: tantivy.Searcher, *rest: Any) -> compiler.Compiler:
        searcher: Any = SimpleNamespace(aggregate=damaged)
        return compiler.Compiler(schema, searcher, *rest)

    monkeypatch.setattr(embedded, "Compiler", compiler_of)
    with pytest.raises(StoreUnavailableError, match="is damaged"):
        messages(store, "trace.id:a*")


def test_the_time_to_compile_a_query_is_part_of_its_limit(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    real = compiler.Compiler.compile

    def compiled(self: compiler.Compiler, node: Node) -> tantivy.Query:
        threads.append(threading.current_thread().name)
        return real(self, node)

    monkeypatch.setattr(compiler.Compiler, "compile", compiled)
    messages(store, "log.level:info")
    assert set(threads) == {"search"}


ANY_QUERY = st.text(alphabet=st.sampled_from('ab1:*?"/[]{}()<>=+-~\\ .TOANDRx@é_'), max_size=25)
FIELD = st.sampled_from(sorted(fields.catalogue()))
VALUE = st.sampled_from(
    ["*", "a", "1", "-1", ">=1", "<1.5", "[a TO b]", "[1 TO 2}", "{* TO 2]", "a*", "/a.*/", "a~1", "true",
     '"a b"~2', "[* TO *]", ">1e400", "[-1e300 TO 1e300]", "99999999999999999999", "now", "<2026", '""']
)  # fmt: skip
QUERIES = ANY_QUERY | st.builds(lambda name, value: f"{name}:{value}", FIELD, VALUE)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    with closing(EmbeddedStore(tmp_path_factory.mktemp("filled") / "store")) as store:
        store.append([event(number, tags=["a", "b"], tidegate={"rows": 1}) for number in range(3)])
        yield store


@settings(max_examples=examples(300))
@given(query=QUERIES)
def test_any_query_returns_or_raises_a_query_error(filled: EmbeddedStore, query: str) -> None:
    try:
        found = filled.search(SearchRequest(query))
    except QueryError:
        return
    assert found.total == len(found.hits) <= 3


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda below: (
        st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below, max_size=3)
    ),
    max_leaves=5,
)


@settings(max_examples=examples(200))
@given(path=st.sampled_from([*sorted(fields.catalogue()), "event", "tidegate", "x"]), value=JSON)
def test_any_event_is_stored_or_rejected(filled: EmbeddedStore, path: str, value: Any) -> None:
    odd = event(0)
    current = odd
    *parents, last = path.split(".")
    for name in parents:
        current = current.setdefault(name, {})
    current[last] = value
    rejected = filled.append([odd])
    assert {one.index for one in rejected} <= {0}
