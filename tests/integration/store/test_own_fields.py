"""Fields that are not in the mapping, in both stores: of `annotate`, of log lines, of other programs."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from httpx import URL

from support.harnesses.store_scene import Scene
from tidegate.console.event_view import written
from tidegate.console.search_request import Wanted
from tidegate.store.base import Terms
from tidegate.store.query.literals import condition
from tidegate.store.search.browse import browse


@pytest.fixture(scope="module")
def quotes(sample: Scene) -> Scene:
    scene = sample
    events = [
        scene.event("p", seconds=20, tidegate={"city": "Kyiv", "price": 12.5, "vip": True}),
        scene.event("q", seconds=21, tidegate={"city": "Lviv", "price": -3, "vip": False}),
        scene.event(
            "r", seconds=22, tidegate={"city": 5, "price": "free", "tags_of": ["a b", "c"]}
        ),
        scene.event("s", seconds=23, tidegate={"quote": {"city": "Kyiv"}, "price": 1e300}),
        scene.event("t", seconds=24, dns={"question": {"name": "example.org"}}),
        scene.event("u", seconds=25, tidegate={"city": "K" * 2000}),
    ]
    assert scene.store.append(events) == []
    return scene


@pytest.mark.parametrize(
    ("query", "letters"),
    [
        ("tidegate.city:Kyiv", "p"),
        ("tidegate.city:kyiv", ""),
        ('tidegate.city:"Kyiv"', "p"),
        ("tidegate.city:(Kyiv OR Lviv)", "pq"),
        ("tidegate.city:K*", "p"),
        ("tidegate.city:?viv", "q"),
        ("tidegate.city:/[KL]..?[iv]+/", "pq"),
        ("tidegate.city:Kiyv~", "p"),
        ("tidegate.city:*", "pqru"),
        ("_exists_:tidegate.city", "pqru"),
        ("_exists_:tidegate.quote", "s"),
        ("tidegate.quote.city:Kyiv", "s"),
        ("tidegate.city:5", "r"),
        ("tidegate.price:12.5", "p"),
        ('tidegate.price:"-3"', "q"),
        ("tidegate.price:>0", "ps"),
        ("tidegate.price:>=12.5", "ps"),
        ("tidegate.price:>12.5", "s"),
        ("tidegate.price:<0", "q"),
        ("tidegate.price:[-3 TO 12.5]", "pq"),
        ("tidegate.price:{-3 TO 12.5}", ""),
        ("tidegate.price:[* TO *]", "pqrs"),
        ("tidegate.price:free", "r"),
        ("tidegate.vip:true", "p"),
        ("tidegate.city:[Ka TO Lz]", "pq"),
        ("tidegate.city:[1 TO Lz]", "pq"),
        ("tidegate.city:[* TO *]", "pqru"),
        ('tidegate.tags_of:"a b" AND tidegate.tags_of:c', "r"),
        ("dns.question.name:example.org", "t"),
        ("_exists_:dns", "t"),
        ("dns:[* TO *]", "t"),
        ("event:[* TO *]", "pqrstu"),
        ("NOT tidegate.city:Kyiv AND tidegate.price:*", "qrs"),
        ("tidegate.nowhere:1", ""),
    ],
)
def test_own_fields_are_searchable_as_they_come(quotes: Scene, query: str, letters: str) -> None:
    found = [message for message in quotes.found(query) if len(message) == 1]
    assert "".join(found) == letters


def test_own_fields_come_back_unchanged(quotes: Scene) -> None:
    (hit,) = quotes.search("tidegate.city:Kyiv").hits
    assert hit["tidegate"] == {"city": "Kyiv", "price": 12.5, "vip": True}
    (hit,) = quotes.search("dns.question.name:example.org").hits
    assert "tidegate" not in hit


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("tidegate.city", {"Kyiv": 1, "Lviv": 1, "5": 1}),
        ("tidegate.price", {"12.5": 1, "-3": 1, "free": 1, "1e+300": 1}),
        ("tidegate.vip", {"true": 1, "false": 1}),
        ("tidegate.cit", {}),
        ("tidegate+city", {}),
    ],
)
def test_the_values_of_an_own_field_are_counted(
    quotes: Scene, name: str, values: dict[str, int]
) -> None:
    found = quotes.search("", size=0, aggregations={"values": Terms(name)})
    assert {one.key: one.count for one in found.aggregations["values"]} == values
    assert found.total == len(quotes.found(""))


def test_the_console_shows_them_as_facets_whose_addresses_find_the_same(quotes: Scene) -> None:
    since, until = (f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in quotes.day().values())
    wanted = Wanted(since=since, until=until, facets=("tidegate.city", "tidegate.vip", "message"))
    request = wanted.request(datetime.now(UTC), size=10)
    city, vip, message = browse(quotes.store, request, wanted.facets).facets.values()
    assert city is not None
    assert vip is not None
    assert {written(one.key): one.count for one in city} == {"Kyiv": 1, "Lviv": 1, "5": 1}
    assert message is None
    assert {written(one.key) for one in vip} == {"true", "false"}
    for one in vip:
        address = wanted.with_condition(condition("tidegate.vip", written(one.key)))
        narrowed = Wanted.of(URL(address).params).request(datetime.now(UTC), size=10)
        assert browse(quotes.store, narrowed).total == 1


def test_many_own_fields_are_bounded_and_the_event_is_stored(scene: Scene) -> None:
    many = {f"field{number:03}": number for number in range(500)}
    assert scene.store.append([scene.event("v", seconds=5, tidegate=many)]) == []
    assert scene.found("tidegate.field000:0") == ["v"]
    assert scene.found("tidegate.field063:63") == ["v"]
    assert scene.found("tidegate.field064:64") == []
    assert scene.search("message:v").hits[0]["tidegate"] == many
