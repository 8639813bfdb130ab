"""Monitors an Elasticsearch that the stack uses but does not run."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from tidegate.runtime.event_log import EventLog
from tidegate.runtime.http_client import HttpError, elasticsearch_client
from tidegate.runtime.secret_files import SecretFileError
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
        async with aiohttp.ClientSession() as session:
            server = elasticsearch_client(session, settings, TIMEOUT_SECONDS)
            await server.call("GET", "/_cluster/health")
    except HttpError as error:
        if error.status in {401, 403}:
            return f"{error}; store.elasticsearch.username lacks the privilege"
        return str(error)
    except SecretFileError as error:
        return str(error)
    return ""


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
