"""What the pages read: the event store, Prometheus and the supervisor of the stack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import aiohttp

from tidegate.runtime.prometheus import Prometheus
from tidegate.settings import Settings
from tidegate.stack.data_folder import Layout
from tidegate.stack.remote_status import read_status
from tidegate.stack.supervisor.control_client import fetch_status
from tidegate.stack.supervisor.programs import url
from tidegate.stack.supervisor.status import StackStatus
from tidegate.store.base import EventStore, SearchRequest, SearchResult
from tidegate.store.kinds import open_store

T = TypeVar("T")
# A search of the embedded store uses a processor: two leave the others to the service.
THREADS: Final = 2
# A search whose cost no person decides, such as that of the last decisions, does not wait for theirs.
SHORT_THREADS: Final = 1
PROMETHEUS_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources of one stack, whose settings have absolute paths. Created by `open_sources`.

    Read the store by `search` or `in_thread`, which do not block the event loop. If no supervisor runs the
    stack, Prometheus tells its status.
    """

    settings: Settings
    prometheus: Prometheus
    store: EventStore
    threads: ThreadPoolExecutor
    short_threads: ThreadPoolExecutor
    supervised: bool

    async def in_thread(self, call: Callable[[], T]) -> T:
        """The result of a call that blocks, such as a search of a query that a person wrote."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, call)

    async def search(self, request: SearchRequest) -> SearchResult:
        """Search events for a page, with a query that takes no long time.

        Raises:
            QueryError: the request is invalid.
            StoreUnavailableError: the store cannot be searched now.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.short_threads, self.store.search, request)

    async def status(self) -> StackStatus:
        """The stack now, as `tidegate status` shows it.

        Raises:
            ControlError: the supervisor does not answer.
            HttpError: there is none, and Prometheus does not answer.
        """
        if self.supervised:
            layout = Layout(self.settings.stack.data_dir)
            return await asyncio.to_thread(fetch_status, layout.socket)
        return await read_status(self.prometheus, self.settings)


def between(begin: float, end: float, query: str, **wanted: Any) -> SearchRequest:
    """A search of the events between two times in seconds since 1970."""
    since, until = (datetime.fromtimestamp(at, UTC) for at in (begin, end))
    return SearchRequest(query, since=since, until=until, **wanted)


@asynccontextmanager
async def open_sources(settings: Settings, prometheus: str = "") -> AsyncIterator[Sources]:
    """The sources inside the block; the URL of Prometheus is that of a stack without a supervisor."""
    address = prometheus or url(settings.stack.host, settings.prometheus.port)
    with (
        ThreadPoolExecutor(THREADS, thread_name_prefix="console") as threads,
        ThreadPoolExecutor(SHORT_THREADS, thread_name_prefix="console-short") as short,
        closing(open_store(settings, read_only=True)) as store,
    ):
        async with aiohttp.ClientSession(trust_env=False) as session:
            client = Prometheus(session, address, PROMETHEUS_SECONDS)
            yield Sources(settings, client, store, threads, short, supervised=not prometheus)
