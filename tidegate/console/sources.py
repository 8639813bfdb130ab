"""What the pages read: the event store, Prometheus and the supervisor of the stack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import Final, TypeVar

import aiohttp

from tidegate.runtime.prometheus import Prometheus
from tidegate.settings import Settings
from tidegate.stack.data_folder import Layout
from tidegate.stack.snapshot import Snapshot, take_snapshot
from tidegate.stack.supervisor.control_client import fetch_status
from tidegate.store.base import EventStore, SearchRequest, SearchResult
from tidegate.store.open_store import open_store

T = TypeVar("T")
# A search of the embedded store uses a processor: two leave the others to the service.
THREADS: Final = 2
PROMETHEUS_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources of one stack. Created by `open_sources`.

    Attributes:
        settings: those of the stack, with absolute paths.
        layout: the paths in its data folder.
        session: for HTTP requests.
        prometheus: the recorded series; its calls raise `HttpError`.
        store: open for reading; use `search`, which does not block the event loop.
        threads: for calls that block.
    """

    settings: Settings
    layout: Layout
    session: aiohttp.ClientSession
    prometheus: Prometheus
    store: EventStore
    threads: ThreadPoolExecutor

    async def in_thread(self, call: Callable[[], T]) -> T:
        """The result of a call that blocks."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, call)

    async def search(self, request: SearchRequest) -> SearchResult:
        """Search events.

        Raises:
            QueryError: the request is invalid.
            StoreUnavailableError: the store cannot be searched now.
        """
        return await self.in_thread(lambda: self.store.search(request))

    async def snapshot(self) -> Snapshot:
        """The stack now, as `tidegate status` shows it.

        Raises:
            ControlError: the supervisor does not answer.
        """
        status = await self.in_thread(lambda: fetch_status(self.layout.socket))
        return await take_snapshot(status, self.session, self.layout.logs)


@asynccontextmanager
async def open_sources(settings: Settings, prometheus: str) -> AsyncIterator[Sources]:
    """The sources inside the block.

    Args:
        settings: those of the stack, with absolute paths.
        prometheus: the URL of Prometheus.
    """
    with (
        ThreadPoolExecutor(THREADS, thread_name_prefix="console") as threads,
        closing(open_store(settings, read_only=True)) as store,
    ):
        async with aiohttp.ClientSession(trust_env=False) as session:
            yield Sources(
                settings,
                Layout(settings.stack.data_dir),
                session,
                Prometheus(session, prometheus, PROMETHEUS_SECONDS),
                store,
                threads,
            )
