"""A gateway and instrumented replicas, scraped by a real Prometheus that evaluates the rules."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.eventually import eventually_async
from support.ports import free_port
from support.processes.prometheus_release import Release
from tidegate.rules.gateway_metrics import GATEWAY
from tidegate.rules.service_rules import service_groups
from tidegate.settings import Settings
from tidegate.stack import prometheus
from tidegate.stack.gateway import configuration, haproxy
from tidegate.stack.gateway.runtime_api import GatewayUnavailableError, RuntimeApi

pytestmark = pytest.mark.integration

# An edge that 2.42 and 3.x store under different names, which no request misses on a machine under load.
OBJECTIVE_SECONDS = 10.0


@dataclass
class Stack:
    """Prometheus, a gateway and two replicas."""

    settings: Settings
    folder: Path
    session: aiohttp.ClientSession
    release: Release
    replicas: dict[str, str]
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    async def start(self) -> None:
        environment = {
            **os.environ,
            "TIDEGATE_SLO__LATENCY_SECONDS": str(self.settings.slo.latency_seconds),
            "TIDEGATE_TELEMETRY__SAMPLE_RATIO": "1",
            "TIDEGATE_STACK__DATA_DIR": str(self.folder),
        }
        program = str(Path(__file__).with_name("replica.py"))
        for name, address in self.replicas.items():
            port = address.rpartition(":")[2]
            await self._spawn(name, [sys.executable, program, port], environment)
        config = configuration.write_config(
            self.settings, self.folder / "gateway", list(self.replicas.values())
        )
        await self._spawn("gateway", haproxy.argv(config))
        admin = RuntimeApi(config.parent / configuration.ADMIN_SOCKET)

        async def used() -> bool:
            with contextlib.suppress(GatewayUnavailableError):
                for index, address in enumerate(self.replicas.values(), 1):
                    host, _, port = address.rpartition(":")
                    await admin.use(index, host, int(port))
                return True
            return False

        await eventually_async(used)
        config = prometheus.write_config(self.settings, self.folder / "prometheus")
        prometheus.write_targets(self.folder / "prometheus", self.replicas)
        data = self.folder / "prometheus" / "data"
        command = prometheus.argv(self.settings, config, data, binary=self.release.prometheus)
        await self._spawn("prometheus", command)

    async def _spawn(
        self, name: str, argv: list[str], environment: dict[str, str] | None = None
    ) -> None:
        with (self.folder / f"{name}.log").open("wb") as output:
            self.processes[name] = await asyncio.create_subprocess_exec(
                *argv, stdout=output, stderr=output, env=environment
            )

    async def stop(self) -> None:
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def api(self, path: str, **parameters: str) -> Any:
        url = f"http://127.0.0.1:{self.settings.prometheus.port}/api/v1/{path}"
        async with self.session.get(url, params=parameters) as answer:
            assert answer.status == 200, await answer.text()
            return (await answer.json())["data"]

    async def value(self, expression: str) -> float | None:
        """The value of an expression that has one series at most."""
        result = (await self.api("query", query=expression))["result"]
        assert len(result) <= 1
        return float(result[0]["value"][1]) if result else None

    async def known(self, expression: str) -> float:
        """Its value as soon as it has one: for a moment a scrape that came late leaves it without."""
        found: list[float] = []

        async def there() -> bool:
            value = await self.value(expression)
            found.extend([value] if value is not None else [])
            return bool(found)

        await eventually_async(there, f"a value of {expression}")
        return found[0]

    async def reaches(self, expression: str, value: float | None) -> None:
        async def there() -> bool:
            return await self.value(expression) == value

        await eventually_async(there, f"{expression} = {value}")

    async def load(self, per_second: float, seconds: float) -> None:
        url = f"http://127.0.0.1:{self.settings.gateway.port}/predict"

        async def post() -> None:
            async with self.session.post(url) as answer:
                assert answer.status == 200

        loop, begin = asyncio.get_running_loop(), asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as requests:
            for number in range(int(per_second * seconds)):
                await asyncio.sleep(max(0.0, begin + number / per_second - loop.time()))
                requests.create_task(post())


@pytest.fixture
async def stack(release: Release, tmp_path: Path) -> AsyncIterator[Stack]:
    entry, metrics, listen, first, second, none = (free_port() for _ in range(6))
    settings = Settings.model_validate(
        {
            "slo": {"latency_seconds": OBJECTIVE_SECONDS},
            "gateway": {"port": entry, "metrics_port": metrics},
            "prometheus": {"port": listen, "scrape_seconds": 0.5},
            "collector": {"metrics_port": none},
            "autoscaler": {"enabled": False},
            "drift": {"watch": False},
        }
    )
    replicas = {"flights-1": f"127.0.0.1:{first}", "flights-2": f"127.0.0.1:{second}"}
    async with aiohttp.ClientSession() as session:
        made = Stack(settings, tmp_path, session, release, replicas)
        try:
            await made.start()

            async def answers() -> bool:
                with contextlib.suppress(aiohttp.ClientError, AssertionError):
                    return await made.value("service:replicas_ready:now") == 2
                return False

            await eventually_async(answers, f"two ready replicas, see {tmp_path}")
            yield made
        finally:
            await made.stop()


async def test_each_recorded_series_follows_the_load(stack: Stack) -> None:
    await stack.reaches("service:replicas_up:now", 2)
    await stack.reaches("service:slots:now", 4)
    await stack.load(per_second=20, seconds=8)
    assert 3 < await stack.known("service:arrival_rate:15s") < 25
    assert 0.02 <= await stack.known("service:latency_seconds_p95:15s") < OBJECTIVE_SECONDS
    # The ratios are recorded each 15 s; 0 shows that the objective's bucket was found.
    await stack.reaches("service:latency_miss_ratio:5m", 0)
    await stack.reaches("service:error_ratio:5m", 0)
    await stack.reaches("service:signal_age_seconds:now < bool 5", 1)
    for group in service_groups(stack.settings.slo):
        for recording in group.recordings:
            # That of replicas has a series for each of them.
            await stack.known(f"max({recording.name})")
    rules = (await stack.api("rules"))["groups"]
    broken = [rule for group in rules for rule in group["rules"] if rule["health"] == "err"]
    assert not broken


@pytest.mark.parametrize("release", ["in use"], indirect=True)
async def test_a_sampled_trace_is_found_through_its_exemplar(stack: Stack) -> None:
    await stack.load(per_second=20, seconds=2)

    async def found() -> bool:
        query = 'http_server_request_duration_seconds_bucket{http_route="/predict"}'
        series = await stack.api("query_exemplars", query=query, start="0", end="9999999999")
        ids = [exemplar["labels"]["trace_id"] for each in series for exemplar in each["exemplars"]]
        return bool(ids) and all(len(trace_id) == 32 for trace_id in ids)

    await eventually_async(found, "an exemplar")


@pytest.mark.parametrize("release", ["in use"], indirect=True)
async def test_a_stopped_replica_leaves_the_sums_immediately(stack: Stack) -> None:
    await stack.reaches("service:slots:now", 4)
    stack.processes["flights-2"].kill()
    await stack.reaches("service:slots:now", 2)
    await stack.reaches("service:replicas_up:now", 1)
    await stack.reaches("service:replicas_ready:now", 1)
    prometheus.write_targets(
        stack.folder / "prometheus", {"flights-1": stack.replicas["flights-1"]}
    )
    await stack.reaches('count(up{job="model"})', 1)
    stack.processes["gateway"].kill()
    # Unknown, not zero and not old.
    await stack.reaches("service:requests_in_system:now", None)
    await stack.reaches("service:signal_age_seconds:now", None)


@pytest.mark.parametrize("release", ["in use"], indirect=True)
async def test_the_gateway_exports_the_documented_metrics_and_few_others_are_retained(
    stack: Stack,
) -> None:
    documented = {metric.name for metric in GATEWAY}

    found: set[str] = set()

    async def complete() -> bool:
        retained = await stack.api("query", query='count by (__name__) ({job="gateway"})')
        names = {series["metric"]["__name__"] for series in retained["result"]}
        found.update(name for name in names if not name.startswith(("scrape_", "up")))
        return found >= documented

    await eventually_async(complete, "every documented metric of the gateway")
    assert found == documented
    assert await stack.known('scrape_samples_post_metric_relabeling{job="gateway"}') < 120
