"""The model versions that replicas report."""

from __future__ import annotations

from collections.abc import Callable

from support.ports import free_port
from tidegate.runtime.event_log import EventLog
from tidegate.runtime.http_probe import Probe
from tidegate.stack.processes.process_supervisor import ProcessSupervisor, Program
from tidegate.stack.replicas.served_versions import ServedVersions


async def test_the_version_of_a_replica_is_fetched_until_it_is_known(
    server: Callable[..., Program], event_log: EventLog, probe: Probe
) -> None:
    process = ProcessSupervisor(server("flights-1", free_port()), event_log, probe)
    fetched: list[str] = []
    texts = iter([None, "[]", "no JSON", '{"version": "abc"}'])

    async def fetch(url: str, seconds: float) -> str | None:
        assert seconds > 0
        fetched.append(url)
        return next(texts)

    versions = ServedVersions(fetch)
    assert versions.of(process) == ""
    process.pid, process.state = 7, "ready"
    for _ in range(5):
        await versions.refresh({1: process})
    assert (versions.of(process), len(fetched)) == ("abc", 4)
    await versions.refresh({})
    assert versions.of(process) == ""
