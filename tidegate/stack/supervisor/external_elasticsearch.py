"""Monitors an Elasticsearch that the stack uses but does not run."""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from tidegate.os_errors import connection_error_message
from tidegate.runtime.event_log import EventLog
from tidegate.runtime.secret_files import SecretFileError, authorization, read_login
from tidegate.settings import Elasticsearch
from tidegate.stack.processes.process_supervisor import State
from tidegate.stack.supervisor.status import ProgramStatus

TIMEOUT_SECONDS: Final = 5.0
POLL_SECONDS: Final = 5.0
NAME: Final = "elasticsearch"


async def elasticsearch_problem(settings: Elasticsearch) -> str:
    """Why it cannot be used; empty if it answers.

    The probe is the cluster health: `GET /` needs more privileges, and not every build has it.
    """
    try:
        headers, context = _credentials(settings)
    except SecretFileError as error:
        return str(error)
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(headers=headers, timeout=timeout) as session,
            session.get(f"{settings.url.rstrip('/')}/_cluster/health", ssl=context) as response,
        ):
            if response.status in {401, 403}:
                return (
                    f"{settings.url} answers {response.status}: store.elasticsearch.username lacks the"
                    " privilege"
                )
            return "" if response.ok else f"{settings.url} answers {response.status}"
    except TimeoutError:
        return f"{settings.url} does not answer within {TIMEOUT_SECONDS:g} s"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return f"{settings.url} cannot be reached: {connection_error_message(error)}"


def _credentials(settings: Elasticsearch) -> tuple[dict[str, str], ssl.SSLContext | bool]:
    setting = "store.elasticsearch.password_file"
    headers = authorization(read_login(settings.username, settings.password_file, setting))
    if settings.ca_file:
        return headers, ssl.create_default_context(cafile=str(settings.ca_file))
    return headers, True


@dataclass(slots=True)
class ElasticsearchMonitor:
    """Probes it at regular intervals, and logs each change of state."""

    settings: Elasticsearch
    event_log: EventLog
    state: State = field(default="ready", init=False)
    problem: str = field(default="", init=False)
    since: float = field(default_factory=time.time, init=False)

    async def run(self) -> None:
        """Probe it, until cancelled."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            await self.check()

    async def check(self) -> None:
        """Probe it once."""
        self.problem = await elasticsearch_problem(self.settings)
        state: State = "failed" if self.problem else "ready"
        if state == self.state:
            return
        self.state, self.since = state, time.time()
        if self.problem:
            text = f"{self.problem}; events are buffered in their files"
            self.event_log.record("silent", text, component=NAME, level="warn")
        else:
            self.event_log.record("ready", "answers again", component=NAME)

    def status(self) -> ProgramStatus:
        """Its part of the stack's status; there is no process."""
        return ProgramStatus(
            id=NAME,
            state=self.state,
            pid=None,
            started_at=self.since,
            ready_at=self.since if self.state == "ready" else None,
            restarts=0,
            address=self.settings.url,
            problem=self.problem,
        )
