"""The pages of the console: their table, and how a template becomes a response."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from tidegate.console import event_view
from tidegate.console.live import Live
from tidegate.console.sources import Sources
from tidegate.runtime.event_log import EventLog
from tidegate.stack.snapshot import duration
from tidegate.store.query.literals import condition
from tidegate.store.search import event_lines, waterfall

FOLDER: Final = Path(__file__).parent
MAX_FORM_BYTES: Final = 10_000
C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Page:
    """An entry of the navigation.

    Attributes:
        name: of the template, `<name>.html.j2`.
        path: of its URL.
        title: what a person reads.
    """

    name: str
    path: str
    title: str


def environment() -> Environment:
    """The templates."""
    found = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update({one.__name__: one for one in FILTERS}, nanoseconds=waterfall.duration)
    found.globals["condition"] = condition
    found.globals["macros"] = found.get_template("macros.html.j2").module
    return found


@dataclass(frozen=True, slots=True)
class Site:
    """What every page needs.

    Attributes:
        sources: what it reads.
        live: what was read lately, and its live updates.
        event_log: gets each change that a person makes in a page.
        pages: the navigation, in order.
        templates: the templates.
    """

    sources: Sources
    live: Live
    event_log: EventLog
    pages: tuple[Page, ...]
    templates: Environment = field(default_factory=environment)

    def __post_init__(self) -> None:
        """Let the templates say how to send requests."""
        self.templates.globals["load"] = partial(event_view.load, self.sources.settings)

    def render(self, page: Page, /, *, status: int = 200, **values: Any) -> HTMLResponse:
        """A page, or one below it, such as a trace."""
        template = self.templates.get_template(f"{page.name}.html.j2")
        text = template.render(
            page=page, pages=self.pages, service=self.service, requests=self.requests, **values
        )
        return HTMLResponse(text, status)

    def live_page(
        self,
        page: Page,
        choice: Callable[[Request], C],
        read: Callable[[C], Awaitable[dict[str, Any]]],
        seconds: float,
    ) -> list[Route]:
        """The routes of a page and of its updates.

        Args:
            page: it; an update replaces the blocks of its template.
            choice: what an address chooses, such as a range of time; tabs with the same choice share updates.
            read: what the template shows; `problems`, and `chart`, which the charts show.
            seconds: between two updates.
        """

        def name(chosen: C) -> str:
            return f"{page.name} {chosen}"

        async def show(request: Request) -> Response:
            chosen = choice(request)
            values = await self.live.get(name(chosen), seconds / 2, partial(read, chosen))
            return self.render(page, **values)

        async def live(request: Request) -> Response:
            chosen = choice(request)
            reading = partial(read, chosen)
            return self.live.response(request, name(chosen), reading, seconds, update)

        def update(values: dict[str, Any]) -> Mapping[str, Any]:
            told = {one: values[one] for one in ("problems", "chart")}
            return {**told, "blocks": self.blocks(page, **values)}

        return [Route(page.path, show), Route(f"/{page.name}/live", live)]

    def changed(self, page: Page, action: str, message: str) -> Response:
        """Record what a person changed in a page, and lead back to it: it shows the change at once."""
        self.event_log.record(action, message)
        self.live.forget(page.name)
        return RedirectResponse(page.path, 303)

    def blocks(self, page: Page, /, **values: Any) -> dict[str, str]:
        """The HTML of the blocks of a page, by name: what a live page replaces."""
        template = self.templates.get_template(f"{page.name}.html.j2")
        own = template.blocks.keys() - self.templates.get_template("layout.html.j2").blocks
        context = template.new_context({"page": page, "service": self.service, **values})
        return {name: "".join(template.blocks[name](context)).strip() for name in own}

    @property
    def service(self) -> str:
        """The name of the service."""
        return self.sources.settings.service.name

    @property
    def requests(self) -> str:
        """The dataset that has an event for each request: another program writes none, the gateway does."""
        return "tidegate.access" if self.sources.settings.replicas.command else "tidegate.request"


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields by name, without empty ones; what is not UTF-8 is replaced, and refused as a value.

    Raises:
        HTTPException: the body is too large.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            raise HTTPException(413, f"a form has at most {MAX_FORM_BYTES} bytes")
    return dict(parse_qsl(body.decode(errors="replace")))


def clock(seconds: float) -> str:
    """A time in seconds since 1970 as an element that the browser shows in its own time zone."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def milliseconds(seconds: float | None) -> str:
    """A duration for a person: `120 ms`, `1.25 s`; a dash if there is none."""
    if seconds is None:
        return "–"  # noqa: RUF001
    return f"{seconds * 1e3:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


# The functions that templates use as filters, by their names.
FILTERS: Final[Sequence[Callable[..., Any]]] = (
    *(clock, milliseconds, duration, waterfall.span_of),
    *(event_lines.text_of, event_lines.value_of, event_lines.shown_error),
    *(event_lines.shown_own_fields, event_view.time_of, event_view.seconds_of, event_view.tone),
    *(event_view.cell, event_view.request_of, event_view.queued, event_view.rows_of),
    *(event_view.written, event_view.pretty),
)
