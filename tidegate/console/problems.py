"""What a page says if a source does not answer, or if it cannot show what its address asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Final, NamedTuple

from starlette.responses import JSONResponse

from tidegate.runtime.http_client import HttpError
from tidegate.stack.supervisor.control_client import ControlError
from tidegate.store.base import QueryError, StoreUnavailableError

SOURCES: Final[dict[type[Exception], str]] = {
    ControlError: "Supervisor",
    HttpError: "Prometheus",
    StoreUnavailableError: "Event store",
    QueryError: "Event store",
}


class Problems(dict[str, str]):
    """What is wrong with the sources that do not answer, by name: a page shows what the others say."""

    async def read(self, **readings: Awaitable[Any]) -> dict[str, Any]:
        """What is read, by name; None if its source does not answer.

        All is read at the same time, as each source that does not answer takes seconds.
        """
        found = await asyncio.gather(*map(self._or_none, readings.values()))
        return dict(zip(readings, found, strict=True))

    async def _or_none(self, reading: Awaitable[Any]) -> Any:
        try:
            return await reading
        except tuple(SOURCES) as error:
            name = next(name for kind, name in SOURCES.items() if isinstance(error, kind))
            self.setdefault(name, str(error))
            return None


class Problem(NamedTuple):
    """Why a page has nothing to show; `place` is the query before, at and after what is wrong."""

    title: str
    text: str
    status: int
    place: tuple[str, str, str] | None = None


def problem_of(error: ValueError | StoreUnavailableError, query: str = "") -> Problem:
    """What to say of an error of an address, of its query, or of the store."""
    if isinstance(error, StoreUnavailableError):
        return Problem("The event store cannot be searched", str(error), 503)
    if not isinstance(error, QueryError):
        return Problem("The address is not valid", str(error), 400)
    begin, end = error.place or (0, 0)
    place = (query[:begin], query[begin:end], query[end:]) if error.place else None
    return Problem("The query is not valid", error.reason, 400, place)


async def or_problem(reading: Awaitable[dict[str, Any]], query: str = "") -> dict[str, Any]:
    """What a page reads of the store for its template; if it cannot, `problem` and its `status`."""
    try:
        return {"problem": None, **await reading}
    except (ValueError, StoreUnavailableError) as error:
        problem = problem_of(error, query)
        return {"problem": problem, "status": problem.status}


def refusal(error: ValueError | StoreUnavailableError) -> JSONResponse:
    """The same for what is no page."""
    return JSONResponse({"detail": str(error)}, problem_of(error).status)
