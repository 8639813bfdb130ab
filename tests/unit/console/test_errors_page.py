"""The page of errors: one group for each exception and the place in the application that raised it."""

from __future__ import annotations

import json
import re
import traceback
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.samples.recent_events import event
from tidegate.console.pages.errors import place_of
from tidegate.store.base import EventStore

SITE = '  File "/venv/lib/python3.12/site-packages/starlette/routing.py", line 9, in app\n    await f()\n'
BUILT_IN = '  File "<frozen importlib._bootstrap>", line 1, in _find\n'
STANDARD = '  File "/usr/lib/python3.12/json/decoder.py", line 337, in decode\n    raise\n'


def trace_of(*frames: str) -> str:
    return "Traceback (most recent call last):\n" + "".join(frames) + "KeyError: 'tea'\n"


def frame(path: str, line: int, function: str) -> str:
    return f'  File "{path}", line {line}, in {function}\n    raise\n'


@pytest.mark.parametrize(
    ("stack_trace", "place"),
    [
        (
            trace_of(SITE, frame("/app/shop/main.py", 3, "order"), STANDARD),
            "shop/main.py:3 in order",
        ),
        (trace_of(SITE, frame("/app/a.py", 3, "b"), frame("/app/c.py", 4, "d")), "app/c.py:4 in d"),
        # What caused it is before it: the place is of the one that was raised last.
        (
            trace_of(frame("/app/shop/cause.py", 1, "a"))
            + "\nDuring handling of the above exception, another exception occurred:\n\n"
            + trace_of(frame("/app/shop/main.py", 3, "order"), BUILT_IN),
            "shop/main.py:3 in order",
        ),
        # Nothing is of the application: what raised it.
        (trace_of(SITE, STANDARD), "json/decoder.py:337 in decode"),
        # Installed.
        (trace_of(SITE.replace("starlette", "shop"), SITE), "shop/routing.py:9 in app"),
        (
            trace_of(SITE.replace("site-packages/starlette", "dist-packages/shop"), STANDARD),
            "shop/routing.py:9 in app",
        ),
        ("goroutine 1 [running]:\nmain.main()", ""),
        ("", ""),
    ],
)
def test_the_place_is_the_innermost_frame_of_the_application(stack_trace: str, place: str) -> None:
    assert place_of(stack_trace, "shop") == place


def test_the_place_of_a_group_of_exceptions_is_that_of_its_last_one() -> None:
    try:
        json.loads("{")
    except ValueError as error:
        text = "".join(traceback.format_exception(ExceptionGroup("several", [error])))
    here = place_of(text)
    assert here.startswith(f"console/{Path(__file__).name}:")
    assert " in test_the_place" in here


def test_a_real_traceback_is_read() -> None:
    try:
        json.loads("{")
    except ValueError:
        here = place_of(traceback.format_exc())
    assert here.startswith(f"console/{Path(__file__).name}:")
    assert here.endswith("in test_a_real_traceback_is_read")


def failed(kind: str, line: int, ago: float, version: str = "1", **more: Any) -> dict[str, Any]:
    stack = trace_of(frame("/app/shop/main.py", line, "order"))
    error = {"type": kind, "message": f"{kind} {ago}", "stack_trace": stack}
    found = event("failed", ago=ago, log={"level": "error"}, error=error, **more)
    return {**found, "service": {**found["service"], "version": version}}


async def test_errors_are_grouped_counted_and_lead_to_a_trace(
    store: EventStore, client: httpx.AsyncClient
) -> None:
    odd = event("odd", log={"level": "error"}, error={"type": ["a"], "stack_trace": 5})
    plain = event("no exception", log={"level": "error"})
    span = failed("KeyError", 3, 1)
    span["data_stream"] = {"type": "traces", "dataset": "tidegate.span", "namespace": "default"}
    keys = [
        failed("KeyError", 3, at, version, trace={"id": f"{at:032}"})
        for at, version in ((9, "2"), (60, "1"))
    ]
    logged = failed("KeyError", 3, 9, "2", trace={"id": f"{9:032}"})  # before it was raised
    store.append(
        [*keys, logged, failed("KeyError", 8, 5), failed("OSError", 3, 7), odd, plain, span]
    )
    page = (await client.get("/errors")).text
    rows = [
        [" ".join(unescape(re.sub(r"<[^>]*>", " ", cell)).split()) for cell in row.split("</td>")]
        for row in page.partition("<tbody>")[2].split("</tr>")[:-1]
    ]
    found = {(row[0].partition(" ")[0], row[1]): row for row in rows}
    main = "shop/main.py:{} in order"
    assert [row[2] for row in rows] == ["2 ×", "1 ×", "1 ×", "1 ×"]  # noqa: RUF001
    newest = found["KeyError", main.format(3)]
    assert newest[0] == "KeyError KeyError 9"
    assert newest[4] == "1, 2"
    assert ("KeyError", main.format(8)) in found
    assert ("OSError", main.format(3)) in found
    assert f'href="/traces/{9:032}"' in page
    [link, *_] = re.findall(r'<strong><a href="([^"]*)">KeyError', page)
    assert "4 events" in re.sub(r"<[^>]*>", "", (await client.get(unescape(link))).text)
