"""Requests and logs: what the page shows of a store, and what can be taken away."""

from __future__ import annotations

import csv
import io
import re
import shlex
import threading
from datetime import datetime
from html import unescape
from typing import Any

import httpx
import orjson
import pytest
from typer.testing import CliRunner

from support.samples.recent_events import event
from tidegate.cli import app
from tidegate.console.event_view import command
from tidegate.console.pages import search
from tidegate.console.search_request import Wanted
from tidegate.console.site import Site
from tidegate.settings import Settings
from tidegate.store.base import EventStore

STRANGE = '<script>alert("1")</script> & \'"'
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def failed(message: str = "POST /predict 500 in 12 ms", **more: Any) -> dict[str, Any]:
    return event(
        message,
        dataset="request",
        log={"level": "error"},
        event={"outcome": "failure", "duration": 12_000_000},
        http={"response": {"status_code": 500}},
        error={"type": "ZeroDivisionError", "message": "division by zero"},
        trace={"id": TRACE},
        **more,
    )


def text_of(answer: httpx.Response) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())


async def test_it_shows_events_counts_and_facets(
    store: EventStore, client: httpx.AsyncClient
) -> None:
    store.append([failed(), *(event(f"line {number}") for number in range(3))])
    answer = await client.get("/search")
    assert answer.status_code == 200
    shown = text_of(answer)
    assert "4 events, 1 with an error" in shown
    assert "ZeroDivisionError: division by zero" in shown
    assert f'href="/traces/{TRACE}"' in answer.text
    only = await client.get("/search", params={"q": "log.level:info"})
    assert "3 events" in text_of(only)
    assert "POST /predict" not in only.text
    # The address of a facet's value is the search with one more condition.
    assert "/search?q=log.level%3Ainfo+AND+event.dataset%3Atidegate.app" in only.text


async def test_what_strangers_write_is_escaped(
    store: EventStore, client: httpx.AsyncClient
) -> None:
    sent = failed(STRANGE, tidegate={"city": STRANGE, STRANGE: 1}, tags=[STRANGE])
    sent["event"]["id"] = STRANGE
    store.append([sent])
    pages = [await client.get("/search", params={"columns": f"tags,message,{STRANGE}"})]
    [link] = re.findall(r'class="open" href="([^"]*)"', pages[0].text)
    pages += [
        await client.get(unescape(link)),
        await client.get("/search", params={"q": f'"{STRANGE}'}),
        await client.get(f"/traces/{TRACE}"),
        await client.get("/traces", params={"service": STRANGE, "ms": STRANGE}),
    ]
    for page in pages:
        assert "<script>alert" not in page.text
        assert "default-src 'self'" in page.headers["content-security-policy"]
        assert not re.search(r"<[^>]*\s(style|on\w+)=", page.text)


@pytest.mark.parametrize(
    ("query", "marked", "why"),
    [
        ("log.level:error AND (a", "(a<mark> </mark>", "missing closing parenthesis"),
        ('a AND "b', "a AND <mark>&#34;</mark>b", "unterminated quote"),
        ("event.duration:&lt;", "<mark>event.duration:&amp;lt;</mark>", "is not a number"),
        ("message:x -event.duration:x", "message:x -<mark>event.duration:x</mark>", "not a number"),
        ("event.duration:(1 OR 'b' 2)", "(1 OR <mark>&#39;b&#39;</mark> 2)", "not a number"),
        ("log.level:a event.duration:a*", "a <mark>event.duration:a*</mark>", "needs a keyword"),
    ],
)
async def test_a_bad_query_is_marked_where_it_is_wrong(
    store: EventStore, client: httpx.AsyncClient, query: str, marked: str, why: str
) -> None:
    store.append([event("a")])
    answer = await client.get("/search", params={"q": query})
    assert answer.status_code == 400
    assert marked in answer.text
    assert why in text_of(answer)
    assert 'aria-invalid="true"' in answer.text
    export = await client.get("/search/export.csv", params={"q": query})
    assert export.status_code == 400


async def test_a_bad_time_and_a_store_that_is_away_are_said(client: httpx.AsyncClient) -> None:
    away = await client.get("/search")
    assert away.status_code == 503
    assert "has the stack been started?" in text_of(away)
    for page in ("/traces", f"/traces/{TRACE}", "/events/1", "/search/export.ndjson"):
        assert (await client.get(page)).status_code == 503, page
    bad = await client.get("/search", params={"since": "yesterday"})
    assert bad.status_code == 400
    assert "'yesterday' is not a valid time" in text_of(bad)


@pytest.mark.parametrize(
    "limit",
    [
        ("columns", "columns", ",", 20),
        ("facets", "facets", ",", 20),
        ("q", "words and conditions", " OR ", 200),
    ],
)
async def test_more_than_a_page_can_show_is_refused_in_a_sentence(
    store: EventStore, client: httpx.AsyncClient, limit: tuple[str, str, str, int]
) -> None:
    store.append([event("a")])
    name, unit, separator, most = limit
    asked = [separator.join(f"f{one}" for one in range(count)) for count in (most, most + 1)]
    assert (await client.get("/search", params={name: asked[0]})).status_code == 200
    refused = await client.get("/search", params={name: asked[1]})
    assert refused.status_code == 400
    said = f"it has {most + 1} {unit}; at most {most} are possible in the console"
    assert said in text_of(refused)
    export = await client.get("/search/export.csv", params={name: asked[1]})
    assert export.status_code == 400


async def test_no_address_makes_a_page_of_many_megabytes(
    store: EventStore, client: httpx.AsyncClient
) -> None:
    store.append([event(f"line {one}", tidegate={f"f{one % 20}": one}) for one in range(100)])
    facets = ",".join(f"tidegate.f{one}" for one in range(20))
    long = " ".join(["a" * 3000, "OR *:*"])
    answer = await client.get("/search", params={"q": long, "facets": facets, "columns": facets})
    assert answer.status_code == 200
    assert len(answer.content) < 2_000_000


async def test_large_events_make_no_page_of_many_megabytes(
    store: EventStore, client: httpx.AsyncClient
) -> None:
    fields = {f"f{one}": "b" * 100 for one in range(900)}
    large = [event("a" * 100_000, tidegate=fields, error={"type": "E"}) for _ in range(50)]
    store.append(large)
    page = await client.get("/search", params={"columns": "message,tidegate.f1"})
    assert "50 events" in text_of(page)
    assert len(page.content) < 1_000_000
    whole = await client.get(f"/events/{large[0]['event']['id']}", params={"q": "c" * 3500})
    assert "The first 300 of" in text_of(whole)
    assert "a" * 100_000 in whole.text
    assert len(whole.content) < 10_000_000


async def test_a_page_is_not_rendered_on_the_event_loop(
    store: EventStore, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append([event("a")])
    rendered: list[int] = []
    html = Site.html

    def counted(*arguments: Any, **values: Any) -> str:
        rendered.append(threading.get_ident())
        return html(*arguments, **values)

    monkeypatch.setattr(Site, "html", counted)
    for path in ("/", "/search", "/traces", f"/traces/{TRACE}", "/events/none"):
        await client.get(path)
    assert len(rendered) == 5
    assert threading.get_ident() not in rendered


async def test_times_from_the_first_to_the_last_year_are_shown(
    store: EventStore, client: httpx.AsyncClient
) -> None:
    store.append([event("early", ago=1e9), event("late", ago=-2e11), event("now")])
    years = {"since": "0001-01-02", "until": "9999-12-31T23:59"}
    first = await client.get("/search", params=years)
    assert "3 events" in text_of(first)
    after = re.search(r'datetime="([^"]*)"', first.text.split('id="open-')[1])
    assert after
    at = round(datetime.fromisoformat(after[1]).timestamp() * 1000)
    second = await client.get("/search", params={**years, "after": f"{at}~~"})
    assert second.status_code == 200
    backwards = await client.get("/search", params={"since": "1h", "until": "2h"})
    assert "0 events" in text_of(backwards)


async def test_a_time_is_shown_as_the_store_reads_it(
    store: EventStore, client: httpx.AsyncClient
) -> None:
    store.append([{**event("old"), "@timestamp": 1_700_000_000_123}])
    answer = await client.get("/search", params={"since": "2023-01-01"})
    assert 'datetime="2023-11-14T22:13:20.123Z">2023-11-14T22:13:20.123Z</time>' in answer.text


async def test_fields_of_a_person_are_facets_and_texts_are_not(
    store: EventStore, client: httpx.AsyncClient
) -> None:
    store.append([event("a", tidegate={"city": "Kyiv"}, time=5), event("b")])
    answer = await client.get("/search", params={"facets": "tidegate.city,time,message"})
    assert "q=tidegate.city%3AKyiv" in answer.text
    # The histogram, which is called the same, is no facet.
    assert re.findall(r"/search\?q=time%3A(\w+)", answer.text) == ["5"]
    assert "the values of a text or a time cannot be counted" in text_of(answer)


async def test_a_row_keeps_its_id_when_a_newer_event_comes(
    store: EventStore, client: httpx.AsyncClient
) -> None:
    async def rows(since: str) -> list[str]:
        page = await client.get("/search", params={"since": since})
        return re.findall(r'<a id="([^"]*)" class="open"', page.text)

    store.append([event("a")])
    before = await rows("15m")
    store.append([event("b", ago=1)])
    after = await rows("16m")
    assert len(after) == 2
    assert after[1:] == before


def test_a_copied_command_finds_the_same(
    store: EventStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append([event("a"), failed("b")])
    monkeypatch.setenv("TIDEGATE_STACK__DATA_DIR", str(settings.stack.data_dir))
    [_, *words] = shlex.split(command("-message:a +message:b", "15m", "now"))
    found = CliRunner().invoke(app, [words[0], "--json", *words[1:]])
    assert [orjson.loads(line)["message"] for line in found.stdout.splitlines()] == ["b"]


async def test_no_hit_says_what_to_do(store: EventStore, client: httpx.AsyncClient) -> None:
    assert "tidegate loadgen run" in text_of(await client.get("/search"))
    store.append([event("a")])
    shown = text_of(await client.get("/search", params={"q": "http.status:500"}))
    assert "did you mean http.response.status_code ?" in shown
    assert "Search the last 7 days" in shown


async def test_older_pages_show_each_event_once(
    store: EventStore, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.console.pages.search.SIZE", 4)
    store.append([event(f"line {number:02}", ago=number) for number in range(10)])
    path, shown = "/search", []
    while path:
        answer = await client.get(path)
        shown += re.findall(r"line \d\d", answer.text)
        older = re.search(r'href="([^"]*)">Older events', answer.text)
        path = unescape(older[1]) if older else ""
    assert shown == [f"line {number:02}" for number in range(10)]


async def test_an_event_is_shown_whole(store: EventStore, client: httpx.AsyncClient) -> None:
    sent = failed(tidegate={"city": "Kyiv (old)", "price": 12.5})
    store.append([sent])
    link = f"/events/{sent['event']['id']}"
    answer = await client.get(link)
    assert answer.status_code == 200
    assert orjson.loads(unescape(re.findall(r'data-copy="(\{[^"]*)"', answer.text)[0])) == sent
    assert 'href="/search?q=tidegate.city%3A%22Kyiv+%28old%29%22"' in answer.text
    assert f"tidegate search --since 365d -- event.id:{sent['event']['id']}" in answer.text
    alike = re.search(r'href="([^"]*)">More like this', answer.text)
    assert alike
    assert "1 event" in text_of(await client.get(unescape(alike[1])))
    assert (await client.get("/events/none")).status_code == 404


async def test_exports_have_every_matching_event_and_no_formula(
    store: EventStore, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "EXPORT_PAGE", 3)
    formula = '=HYPERLINK("http://example.org")'
    messages = [
        formula,
        "+1",
        "-1",
        "@a",
        "\ta",
        "\na",
        "\uff1da",
        "\uff20a",
        "plain, with a comma",
        "a\nb",
        "x",
    ]
    store.append(
        [
            event(message, ago=number, tidegate={"difference": -0.5})
            for number, message in enumerate(messages)
        ]
    )
    lines = (await client.get("/search/export.ndjson")).text.splitlines()
    assert [orjson.loads(line)["message"] for line in lines] == messages
    answer = await client.get(
        "/search/export.csv", params={"columns": "message,tidegate.difference"}
    )
    assert "attachment" in answer.headers["content-disposition"]
    header, *rows = csv.reader(io.StringIO(answer.text, newline=""))
    assert header == [
        *("timestamp", "log.level", "message", "tidegate.difference", "trace.id", "event.id")
    ]
    assert [row[2] for row in rows] == [
        *(f"'{text}" if text[0] in "=+-@\t\n\uff1d\uff20" else text for text in messages)
    ]
    assert {row[3] for row in rows} == {"-0.5"}
    monkeypatch.setattr(search, "EXPORT_EVENTS", 5)
    bounded = (await client.get("/search/export.ndjson")).text.splitlines()
    assert len(bounded) == 5
    assert (await client.get("/search/export.xml")).status_code == 404


async def test_names_and_values_are_completed(store: EventStore, client: httpx.AsyncClient) -> None:
    store.append([failed(tidegate={"city": "Kyiv"})])

    async def offered(typed: str, until: str = "") -> Any:
        asked = {"q": typed, "since": "1h", "until": until}
        return (await client.get("/search/complete", params=asked)).json()

    assert await offered("tidegate.cit") == ["tidegate.city:"]
    assert await offered("a AND tidegate.city:") == ["a AND tidegate.city:Kyiv"]
    assert await offered("log.level:e") == ["log.level:error"]
    assert await offered("log.level:e", until="30m") == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "x:1"),
        ("a:b", "a:b AND x:1"),
        ('a:"b c" AND NOT d:e', 'a:"b c" AND NOT d:e AND x:1'),
        ("(a OR b)", "(a OR b) AND x:1"),
        ("a OR b", "(a OR b) AND x:1"),
        ("a b", "(a b) AND x:1"),
        # Each term could be read in two ways: 2^40 ways in all.
        ("a:b AND " * 40 + "a:b OR c:d", f"({'a:b AND ' * 40}a:b OR c:d) AND x:1"),
    ],
)
def test_a_condition_narrows_a_query(query: str, expected: str) -> None:
    url = Wanted(q=query).with_condition("x:1")
    assert httpx.URL(url).params["q"] == expected
    assert Wanted.of(httpx.URL(url).params) == Wanted(q=expected)


def test_columns_are_added_and_removed() -> None:
    wanted = Wanted.of(httpx.URL(Wanted().toggled("columns", "tidegate.work")).params)
    assert wanted.columns[-1] == "tidegate.work"
    assert wanted.toggled("columns", "tidegate.work") == Wanted().url()
    # Without a column it has the usual ones.
    assert Wanted(columns=("message",)).toggled("columns", "message") == Wanted().url()


async def test_an_error_that_the_message_has_is_shown_once(
    store: EventStore, client: httpx.AsyncClient
) -> None:
    store.append([failed("ZeroDivisionError: division by zero, in line 1")])
    assert text_of(await client.get("/search")).count("division by zero") == 1
