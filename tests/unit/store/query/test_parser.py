from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.store.base import QueryError
from tidegate.store.elasticsearch.normalized_query import render
from tidegate.store.query.parser import parse
from tidegate.store.query.tree import (
    Everything,
    Exists,
    Fuzzy,
    Group,
    Node,
    Pattern,
    Phrase,
    Range,
    Regex,
    Wild,
    Word,
    fields,
)

A, B, C = Word(None, "a"), Word(None, "b"), Word(None, "c")


@pytest.mark.parametrize(
    ("query", "tree"),
    [
        ("", Everything()),
        (" \t\n", Everything()),
        ("*", Everything()),
        ("*:*^2", Everything()),
        ("a", A),
        ("log.level:error", Word("log.level", "error")),
        ("@timestamp:now", Word("@timestamp", "now")),
        ("log.level:*", Exists("log.level")),
        ("_exists_:log.level", Exists("log.level")),
        ("_exists_: log.level", Exists("log.level")),
        ("a*b?", Pattern(None, ("a", Wild.ANY, "b", Wild.ONE))),
        (r"a\*b", Word(None, "a*b")),
        (r"caf\u00e9", Word(None, "café")),
        ('"a \\"b\\" c"~3', Phrase(None, 'a "b" c', 3)),
        ("a~", Fuzzy(None, "a", 2)),
        ("a~1", Fuzzy(None, "a", 1)),
        (r"x:/a\/b.*/", Regex("x", "a/b.*")),
        ("x:[1 TO 2}", Range("x", "1", "2", include_low=True, include_high=False)),
        ('x:{"a b" TO *]', Range("x", "a b", None, include_low=False, include_high=True)),
        ("x:>=5", Range("x", "5", None, include_low=True, include_high=False)),
        ("x:> -5", Range("x", "-5", None, include_low=False, include_high=False)),
        ("x:<=-1.5", Range("x", None, "-1.5", include_low=False, include_high=True)),
        ("x:[10:30 TO +5]", Range("x", "10:30", "+5", include_low=True, include_high=True)),
        ("x:[/a TO /b}", Range("x", "/a", "/b", include_low=True, include_high=False)),
        ('x:<"a b"', Range("x", None, "a b", include_low=False, include_high=False)),
        ("a b", Group((), (A, B), ())),
        ("a AND b", Group((A, B), (), ())),
        ("a && b", Group((A, B), (), ())),
        ("a OR b", Group((), (A, B), ())),
        ("a || b", Group((), (A, B), ())),
        ("a!b", Group((), (A,), (B,))),
        ("NOT a", Group((), (), (A,))),
        ("a AND NOT b", Group((A,), (), (B,))),
        ("a OR b AND c", Group((B, C), (A,), ())),
        ("a AND b OR c", Group((A, B), (C,), ())),
        ("NOT a AND b", Group((B,), (), (A,))),
        ("+a b -c", Group((A,), (B,), (C,))),
        ("(a OR b) AND c", Group((Group((), (A, B), ()), C), (), ())),
        ("x:(a OR y:b)", Group((), (Word("x", "a"), Word("y", "b")), ())),
        ("ANDROID", Word(None, "ANDROID")),
        ("NOT-a", Word(None, "NOT-a")),
        ("and", Word(None, "and")),
        (r"\AND", Word(None, "AND")),
    ],
)
def test_a_query_is_parsed_into_the_tree_of_lucene(query: str, tree: Node) -> None:
    assert parse(query) == tree


@pytest.mark.parametrize(
    ("query", "why", "column"),
    [
        ("log.level:error AND", "expected a clause after AND", 19),
        ("(a", r"missing closing parenthesis", 2),
        ("a)", "unmatched closing parenthesis", 1),
        ("()", "expected a clause", 1),
        ("x:>", "expected a word", 3),
        ('a "b', "unterminated quote", 2),
        ("x:/predict", "unterminated regular expression; quote", 2),
        ("x:[1 2]", r"expected TO: a range has the form \[low TO high\]", 5),
        ("x:[1 TO 2", r"expected \] or } at the end", 9),
        ("x:[ TO 2]", "expected TO", 7),
        ("a OR OR", "unexpected operator OR", 7),
        ("x:[]", "expected a range bound", 3),
        ("a~0.5", "expected a whole number after ~", 3),
        ("a~3", "must be at most 2", 2),
        ("a^b", "expected a number after", 2),
        ("_exists_:a*", "wildcards are not supported here", 11),
        (">5", "a comparison needs a field", 0),
        ("a \\", "expected a character after the escape", 3),
        ("\\u00", "four hexadecimal digits", 2),
        ("a:b:c", "expected a value", 3),
    ],
)
def test_an_error_names_the_problem_and_its_position(query: str, why: str, column: int) -> None:
    with pytest.raises(QueryError, match=why) as raised:
        parse(query)
    _, shown, marker = str(raised.value).split("\n")
    assert shown == f"  {query}"
    assert marker.index("^") - 2 == column
    assert raised.value.place == (column, column + 1)
    assert raised.value.reason in str(raised.value)


@pytest.mark.parametrize(
    "query", ["(" * 10_000 + "a" + ")" * 10_000, "x:(" * 10_000, "NOT " * 10_000, "x:" * 10_000]
)
def test_a_deeply_nested_query_is_refused(query: str) -> None:
    with pytest.raises(QueryError):
        parse(query)


@pytest.mark.parametrize(
    "query",
    [
        'message:"' + "word " * 5000 + '"~1000',
        "word " * 1025,
        "log.level:(" + " OR ".join(["a"] * 1025) + ")",
        "a-" * 1025,
        "\u6f22" * 1025,
        "x" * 65_537,
    ],
)
def test_a_query_that_is_too_large_is_refused(query: str) -> None:
    with pytest.raises(QueryError, match=r"the query has \d+ .*; at most \d+ are possible"):
        parse(query)


def test_a_large_query_is_parsed() -> None:
    tree = parse("a AND b OR c " * 341)
    assert isinstance(tree, Group)
    assert (len(tree.must), len(tree.should)) == (2 * 341, 341)


@given(st.text(alphabet=st.sampled_from('ab:*?"/[]{}()<>=+-!~^\\ TOANDR&|u0'), max_size=30))
def test_any_text_is_parsed_or_refused(query: str) -> None:
    try:
        tree = parse(query)
    except QueryError:
        return
    assert fields(tree) is not None


WORDS = st.text(min_size=1, max_size=6) | st.sampled_from(["AND", "OR", "NOT"])
NAMES = st.sampled_from(["log.level", "message", "odd name", "a:b"])
LEAVES = st.one_of(
    st.just(Everything()),
    st.builds(Exists, NAMES),
    st.builds(Word, NAMES, WORDS.filter(lambda text: text[0] not in "<>")),
    st.builds(Phrase, NAMES, st.text(max_size=6), st.integers(0, 1000)),
    st.builds(Fuzzy, NAMES, WORDS.filter(lambda text: text[0] not in "<>"), st.integers(1, 2)),
    st.builds(Regex, NAMES, st.text(max_size=6).filter(lambda text: "\\" not in text)),
    st.builds(
        Range, NAMES, WORDS.filter(lambda t: t != "*"), st.none(), st.booleans(), st.booleans()
    ),
    st.builds(Pattern, NAMES, st.tuples(st.just(Wild.ANY), WORDS, st.just(Wild.ONE))),
)
TREES = st.recursive(
    LEAVES,
    lambda below: st.builds(
        Group,
        st.lists(below, min_size=2, max_size=3).map(tuple),
        st.lists(below, max_size=2).map(tuple),
        st.lists(below, max_size=2).map(tuple),
    ),
    max_leaves=8,
)


@given(TREES)
def test_a_rendered_tree_is_parsed_into_the_same_tree(tree: Node) -> None:
    assert parse(render(tree)) == tree


def test_fields_are_those_in_the_query() -> None:
    query = "a x:1 AND NOT (y:[1 TO 2] OR _exists_:z) AND *:*"
    assert fields(parse(query)) == {"x", "y", "z"}
