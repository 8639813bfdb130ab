"""The pages of the console: how a template becomes a response, and what a form changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import parse_qsl

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from tidegate.console import event_view
from tidegate.console.live import Live
from tidegate.console.series import RANGES
from tidegate.console.sources import Sources
from tidegate.monitoring import report
from tidegate.runtime.event_log import EventLog
from tidegate.stack.load import load_command
from tidegate.stack.snapshot import duration
from tidegate.store.query.literals import condition
from tidegate.store.search import event_lines, waterfall

STREAM: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
FOLDER: Final = Path(__file__).parent
MAX_FORM_BYTES: Final = 10_000
C = TypeVar("C")
Change = Callable[[Mapping[str, str]], Awaitable[tuple[str, str] | None]]
"""Gets the fields of a form that are not empty, and returns the action and the sentence of the event that
records the change; None if there was none. A ValueError or OSError says why it is refused."""


class Page(NamedTuple):
    """An entry of the navigation: the name of its template, its path, and its title."""

    name: str
    path: str
    title: str


def environment() -> Environment:
    """The templates."""
    found = Environment(
        loader=FileSystemLoader([FOLDER / "templates", Path(report.__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: tuple[Callable[..., Any], ...] = (
        *(clock, milliseconds, duration, waterfall.span_of, event_lines.tone),
        *(event_lines.text_of, event_lines.value_of, event_lines.shown_error),
        *(event_lines.shown_own_fields, event_view.time_of, event_view.seconds_of),
        *(event_view.cell, event_view.request_of, event_view.queued, event_view.rows_of),
        *(event_view.written, event_view.pretty),
    )
    found.filters.update({one.__name__: one for one in filters}, nanoseconds=waterfall.duration)
    found.globals |= {"condition": condition, "ranges": RANGES}
    found.globals["macros"] = found.get_template("macros.html.j2").module
    return found


@dataclass(frozen=True, slots=True)
class Site:
    """What every page needs; `event_log` gets each change that a person makes in one."""

    sources: Sources
    live: Live
    event_log: EventLog
    pages: tuple[Page, ...]
    templates: Environment = field(default_factory=environment)

    def __post_init__(self) -> None:
        """Let every template use what the settings say."""
        settings = self.sources.settings
        self.templates.globals |= {
            "pages": self.pages,
            "settings": settings,
            "requests": self.requests,
            "load": partial(load_command, settings),
        }

    @property
    def requests(self) -> str:
        """The dataset that has an event for each request: another program writes none, the gateway does."""
        return "tidegate.access" if self.sources.settings.replicas.command else "tidegate.request"

    def html(self, page: Page, /, **values: Any) -> str:
        """A page, or one below it, such as a trace."""
        return self.templates.get_template(f"{page.name}.html.j2").render(page=page, **values)

    async def render(self, page: Page, /, *, status: int = 200, **values: Any) -> HTMLResponse:
        """The same as a response; a large page must not be all that the event loop does."""
        return HTMLResponse(await asyncio.to_thread(self.html, page, **values), status)

    def live_page(
        self,
        page: Page,
        choice: Callable[[Request], C],
        read: Callable[[C], Awaitable[dict[str, Any]]],
        seconds: float,
    ) -> list[Route]:
        """The routes of a page and of its updates.

        Args:
            page: it; an update has it whole, and replaces the elements `[data-block]` that changed.
            choice: what an address chooses, such as a range of time; tabs with the same choice share updates.
            read: what the template shows; `problems`, and `chart`, which the charts show.
            seconds: between two updates.
        """

        def asked(request: Request) -> tuple[str, Callable[[], Awaitable[dict[str, Any]]]]:
            chosen = choice(request)
            return f"{page.name} {chosen}", partial(read, chosen)

        async def show(request: Request) -> Response:
            name, reading = asked(request)
            return await self.render(page, **await self.live.get(name, seconds / 2, reading))

        async def live(request: Request) -> Response:
            if request.method == "HEAD":
                return Response(headers=STREAM, media_type="text/event-stream")
            frames = self.live.frames(*asked(request), seconds, update)
            return StreamingResponse(frames, media_type="text/event-stream", headers=STREAM)

        def update(values: dict[str, Any]) -> Mapping[str, Any]:
            told = {one: values[one] for one in ("problems", "chart")}
            return {**told, "page": self.html(page, **values)}

        return [Route(page.path, show), Route(f"/{page.name}/live", live)]

    def form(
        self, page: Page, path: str, change: Change, read: Callable[[], Awaitable[dict[str, Any]]]
    ) -> list[Route]:
        """The route of a form of a page; none without `console.control`.

        The page then shows the change or, with what is read, why there was none.
        """

        async def post(request: Request) -> Response:
            length = request.headers.get("content-length", "")
            if not length.isdecimal() or int(length) > MAX_FORM_BYTES:
                return PlainTextResponse(f"Content-Length must be at most {MAX_FORM_BYTES}", 413)
            try:
                # What is not UTF-8 is replaced, and refused as a value.
                body = (await request.body()).decode(errors="replace")
                done = await change(dict(parse_qsl(body)))
            except (ValueError, OverflowError, OSError) as error:
                return await self.render(page, status=422, refused=str(error), **await read())
            if done:
                self.event_log.record(*done)
                self.live.forget(page.name)
            return RedirectResponse(page.path, 303)

        control = self.sources.settings.console.control
        return [Route(path, post, methods=["POST"])] if control else []


def clock(seconds: float) -> str:
    """A time in seconds since 1970 in UTC, as ISO 8601: the browser shows it in its own time zone."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def milliseconds(seconds: float | None) -> str:
    """A duration for a person: `120 ms`, `1.25 s`; a dash if there is none."""
    if seconds is None:
        return "–"  # noqa: RUF001
    return f"{seconds * 1e3:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
