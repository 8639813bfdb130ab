"""Traces: the list, one with its log lines, two side by side, and a part as JSON."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import httpx
import pytest

from support.samples.recent_events import event
from tidegate.store.base import EventStore
from tidegate.store.search import traces, waterfall
from tidegate.store.search.event_lines import text_of

A, B = "a" * 32, "b" * 32


def span(name: str, trace: str, identity: str, parent: str = "", **more: Any) -> dict[str, Any]:
    milliseconds, outcome = more.pop("milliseconds", 20), more.pop("outcome", "success")
    kind = more.pop("kind", "internal" if parent else "server")
    if parent:
        more["parent"] = {"id": parent}
    return event(
        name,
        dataset="span",
        stream="traces",
        trace={"id": trace},
        span={"id": identity, "name": name, "kind": kind},
        event={"duration": milliseconds * 1_000_000, "outcome": outcome},
        **more,
    )


@pytest.fixture
def stored(store: EventStore) -> EventStore:
    store.append(
        [
            span("POST /fast", A, "1", ago=9.980),
            span("queue", A, "2", "1", ago=9.990, milliseconds=10),
            span("model", A, "3", "1", ago=9.981, milliseconds=5),
            event("in the model", ago=9.983, trace={"id": A}, span={"id": "3"}),
            event("at the end", ago=9.979, trace={"id": A}, span={"id": "1"}),
            span("POST /slow", B, "4", milliseconds=1500, outcome="failure"),
        ]
    )
    return store


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"sort": "slowest"}, ["POST /slow", "POST /fast"]),
        ({"outcome": "failure"}, ["POST /slow"]),
        ({"outcome": "success"}, ["POST /fast"]),
        ({"ms": "100.5"}, ["POST /slow"]),
        ({"service": "flights", "ms": "1", "outcome": "success"}, ["POST /fast"]),
        ({"service": "other"}, []),
    ],
)
async def test_traces_are_listed_by_service_duration_and_outcome(
    stored: EventStore,
    client: httpx.AsyncClient,
    parameters: dict[str, str],
    expected: list[str],
) -> None:
    del stored
    answer = await client.get("/traces", params=parameters)
    assert answer.status_code == 200
    assert re.findall(r"POST /\w+", answer.text) == expected
    assert ("tidegate loadgen run" in answer.text) == (not expected)


async def test_a_trace_has_its_spans_their_lines_and_all_lines_in_order(
    stored: EventStore, client: httpx.AsyncClient
) -> None:
    del stored
    text = (await client.get(f"/traces/{A}")).text
    spans = re.findall(r'<div class="(d\d)">([^<]*?) <a', text)
    assert spans == [("d0", "POST /fast"), ("d1", "queue"), ("d1", "model")]
    model = text.split('id="span-3"')[1].split("</tr>")[0]
    assert "in the model" in model
    assert "at the end" not in model
    lines = text.split("All lines in order")[1]
    order = ["queue", "in the model", "model", "POST /fast", "at the end"]
    found = re.findall(r'class="message">([^<\n]*)', lines)
    assert [one.strip() for one in found] == order
    # The dot leads to the line, and the line to its event.
    [target] = re.findall(r'href="#(line-1-\w+)"', model)
    assert f'id="{target}"' in lines
    assert f'href="/events/{target.removeprefix("line-1-")}"' in lines


@pytest.mark.parametrize(("root", "expected"), [("failure", "failure"), ("success", "warning")])
async def test_a_trace_has_the_outcome_by_which_it_is_listed(
    store: EventStore, client: httpx.AsyncClient, root: str, expected: str
) -> None:
    inner = span("model", A, "2", "1", outcome="failure")
    store.append([span("POST /predict", A, "1", outcome=root), inner])
    assert f">{expected}</span>" in (await client.get(f"/traces/{A}")).text
    assert f"/traces/{A}" in (await client.get("/traces", params={"outcome": root})).text


async def test_a_request_that_another_service_traces_has_the_outcome_of_its_own(
    store: EventStore, client: httpx.AsyncClient
) -> None:
    received = span("POST /predict", A, "1", "0", kind="server")
    store.append([received, span("model", A, "2", "1", outcome="failure")])
    assert ">warning</span>" in (await client.get(f"/traces/{A}")).text


async def test_a_large_trace_leaves_the_event_loop_free(
    stored: EventStore, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    del stored
    threads = set()

    def seen(call: Callable[..., Any], *arguments: Any) -> Any:
        threads.add(threading.current_thread())
        return call(*arguments)

    for name in ("nested", "subtree"):
        monkeypatch.setattr(waterfall, name, partial(seen, getattr(waterfall, name)))
    for page in (f"/traces/{A}", f"/traces/{A}.json?span=1"):
        assert (await client.get(page)).status_code == 200
    assert threads
    assert threading.main_thread() not in threads


def test_the_work_for_a_trace_grows_with_its_events(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = 0

    def counted(read: Mapping[str, Any], name: str) -> str:
        nonlocal reads
        reads += 1
        return text_of(read, name)

    monkeypatch.setattr(traces, "text_of", counted)
    spans = [span("s", A, str(number)) for number in range(100)]
    logs = [event("l", trace={"id": A}, span={"id": str(number)}) for number in range(100)]
    shown = traces.Trace(A, [*spans, *logs], 0)
    assert [len(shown.lines_of[one.id]) for _, one in shown.spans] == [1] * 100
    assert reads < 1000


async def test_a_trace_without_spans_shows_its_lines(
    store: EventStore, client: httpx.AsyncClient
) -> None:
    store.append([event("alone", trace={"id": A})])
    answer = await client.get(f"/traces/{A}")
    assert answer.status_code == 200
    assert "were not recorded" in answer.text
    assert "alone" in answer.text


async def test_two_traces_stand_side_by_side_on_one_scale(
    stored: EventStore, client: httpx.AsyncClient
) -> None:
    del stored
    text = (await client.get(f"/traces/{A}", params={"with": B})).text
    assert "one scale" in text
    widths = [float(one) for one in re.findall(r'y="4" width="([\d.]+)%"', text)]
    assert widths[0] == pytest.approx(20 / 1500 * 100, abs=0.01)
    assert widths[-1] == 100
    choice = await client.get("/traces", params={"other": A})
    assert f'href="/traces/{A}?with={B}"' in choice.text


async def test_a_part_of_a_trace_is_json(stored: EventStore, client: httpx.AsyncClient) -> None:
    del stored
    whole = (await client.get(f"/traces/{A}.json")).json()
    assert len(whole["events"]) == 5
    part = (await client.get(f"/traces/{A}.json", params={"span": "3"})).json()
    assert [one["message"] for one in part["events"]] == ["in the model", "model"]
    assert (await client.get(f"/traces/{A}.json", params={"span": "9"})).status_code == 404


async def test_an_unknown_and_an_invalid_id_are_said(
    stored: EventStore, client: httpx.AsyncClient
) -> None:
    del stored
    unknown = await client.get(f"/traces/{'c' * 32}")
    assert unknown.status_code == 404
    assert f"tidegate trace {'c' * 32}" in unknown.text
    invalid = await client.get("/traces/xyz")
    assert invalid.status_code == 400
    assert "32 hexadecimal digits" in invalid.text
