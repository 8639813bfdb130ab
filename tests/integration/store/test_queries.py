"""The query language: matches, and refused queries."""

from __future__ import annotations

import pytest

from support.harnesses.store_scene import Scene
from tidegate.store.base import QueryError

SEARCHES = {
    # everything
    "": "abcde",
    "*:*": "abcde",
    # keywords match as a whole and are case-sensitive
    "log.level:error": "b",
    "log.level:Error": "",
    "log.level:err": "",
    'log.level:"error"': "b",
    "tags:blue": "a",
    'tags:"Green Two"': "a",
    "tags:Green": "",
    "service.node.name:flights-2": "b",
    r"service.node.name:flights\-2": "b",
    "trace.id:4bf92f3577b34da6a3ce929d0e0e4736": "ad",
    "trace.id:4bf92f3577b34da6": "",
    "trace.id:4bf9*": "ad",
    "trace.id:*4736 AND log.level:info": "ad",
    "trace.id:/4BF9.*/": "",
    "trace.id:[* TO *]": "ad",
    "NOT trace.id:/[0-9a-f]{32}/": "bce",
    'url.path:"/predict"': "a",
    r"url.path:\/predict": "a",
    'log.logger:"a \\"quoted\\" name"': "c",
    r'log.file.path:"C:\\logs (old)\\*.txt"': "e",
    r"log.file.path:C\:\\logs\ \(old\)\\\*.txt": "e",
    # wildcards and regular expressions
    "service.node.name:flights*": "abcde",
    "service.node.name:flights-2*": "bc",
    "service.node.name:flights-?": "abde",
    "service.node.name:*2": "bc",
    "service.node.name:FLIGHTS*": "",
    "log.logger:line*end": "e",
    r"log.logger:*\"quoted\"*": "c",
    r"log.file.path:*\(old\)*": "e",
    "log.level:/err.r|warn/": "bce",
    "log.level:/rro/": "",
    "time*": "c",
    "TIME*": "c",
    "message:/tim.*/": "c",
    # tokens of text
    "timeout": "c",
    "Timeout": "c",
    "message:über*": "e",
    "überlauf": "e",
    "10.0.0.1": "e",
    "foo": "",
    "foo_bar": "e",
    "v1.2": "e",
    "don't": "e",
    "time-out": "c",
    "post timeout": "abc",
    '"in 35 ms"': "a",
    '"35 in ms"': "",
    '"post predict"': "ab",
    '"post 200"': "",
    '"post 200"~1': "a",
    'message:"waiting for a slot"': "c",
    '"a slot retrying"': "c",
    'error.message:"by zero"': "b",
    "error.message:(zero OR one)": "b",
    '"—"': "",
    # fuzzy
    "timeuot~": "c",
    "tmeot~1": "",
    "log.level:eror~1": "b",
    # numbers
    "http.response.status_code:500": "b",
    "http.response.status_code:500.0": "b",
    "http.response.status_code:500.5": "",
    "http.response.status_code:[500 TO 599]": "b",
    "http.response.status_code:[200 TO 500}": "ae",
    "http.response.status_code:{200 TO *]": "be",
    "http.response.status_code:[* TO 422]": "ae",
    "http.response.status_code:[* TO *]": "abe",
    "http.response.status_code:>=422": "be",
    "http.response.status_code:>422": "b",
    "http.response.status_code:<500": "ae",
    "http.response.status_code:<=200": "a",
    "http.response.status_code:>499.5": "b",
    "http.response.status_code:<199.5": "",
    "http.response.status_code:[600 TO 500]": "",
    "http.response.status_code:(>=200 AND <422)": "a",
    "http.response.status_code:(200 OR 422)": "ae",
    "event.duration:>1000000000": "b",
    "tidegate.prediction.probability:0.25": "a",
    "tidegate.prediction.probability:1": "b",
    "tidegate.prediction.probability:>=0.25": "ab",
    "tidegate.prediction.probability:{0.25 TO 1]": "b",
    "tidegate.prediction.probability:<0": "e",
    "tidegate.prediction.probability:[-1 TO 0]": "e",
    r"tidegate.prediction.probability:\-0.5": "e",
    "tidegate.prediction.probability:[* TO *]": "abe",
    "tidegate.kept:true": "a",
    "tidegate.kept:false": "b",
    # dates
    "event.start:[2026-03-01 TO 2026-03-01]": "ab",
    "event.start:2026-03-01": "ab",
    'event.start:>="2026-03-01T12:00:00Z"': "bc",
    "event.start:>2026-03-01": "c",
    "event.start:<2026-03-02": "ab",
    'event.start:{"2026-03-01T10:00:00Z" TO *}': "bc",
    'event.start:"2026-03-02T00:00:00.500Z"': "c",
    "event.start:>now": "",
    "event.start:[2026-03-01T00 TO now+9999d]": "abc",
    # strings have an order too
    "log.level:[error TO info]": "abd",
    "log.level:{error TO *}": "acde",
    "log.level:>=info": "acde",
    # existing fields
    "_exists_:http.response.status_code": "abe",
    "http.response.status_code:*": "abe",
    "_exists_:message": "abcde",
    "_exists_:error": "b",
    "NOT _exists_:trace.id": "bce",
    # AND, OR, NOT and parentheses, and the binding without parentheses
    "log.level:error AND tidegate.work:heavy": "b",
    "log.level:error OR tidegate.work:light": "ab",
    "log.level:(error OR warn)": "bce",
    "log.level:(error warn) AND tidegate.work:heavy": "be",
    "log.level:(error OR tidegate.work:light)": "ab",
    r"log.level:\e\u0072ror": "b",
    "NOT log.level:info": "bce",
    "log.level:warn AND NOT tidegate.work:heavy": "c",
    "log.level:warn -tidegate.work:heavy": "c",
    "log.level:warn AND (NOT tidegate.work:heavy)": "c",
    "+log.level:warn tidegate.work:heavy": "ce",
    "NOT (log.level:info OR log.level:warn)": "b",
    "log.level:error OR log.level:warn AND tidegate.work:heavy": "e",
    "log.level:warn AND tidegate.work:heavy OR log.level:error": "e",
    "log.level:error OR (log.level:warn AND tidegate.work:heavy)": "be",
    "log.level:error^2 OR tidegate.work:light^0.5": "ab",
    # operators are upper-case; lower-case ones are words
    "zero and": "",
    "division or slot": "c",
    # unmapped fields match nothing
    "no.such.field:x": "",
    "NOT no.such.field:x": "abcde",
    "tidegate.attributes.x:1": "",
    "log:error": "",
}


@pytest.mark.parametrize(("query", "letters"), SEARCHES.items())
def test_search_syntax(sample: Scene, query: str, letters: str) -> None:
    assert "".join(message[0] for message in sample.found(query)) == letters


# What is refused by its syntax is in the tests of the parser, which both stores use.
@pytest.mark.parametrize(
    "query",
    [
        "log.level:",
        "log.level:/(/",
        "http.response.status_code:abc",
        "http.response.status_code:[a TO 5]",
        "http.response.status_code:5*",
        "http.response.status_code:/5../",
        "tidegate.prediction.probability:high",
        "tidegate.kept:maybe",
        "event.start:yesterday",
        "event.start:[x TO now]",
    ],
)
def test_an_invalid_query_is_refused_with_a_message(sample: Scene, query: str) -> None:
    with pytest.raises(QueryError) as raised:
        sample.search(query)
    assert len(str(raised.value)) > 10
