"""`tidegate verify` finds data in each panel of Grafana after the first requests, and names an empty one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from support.doubles.aiohttp_server import serving
from support.doubles.grafana import GrafanaDouble
from support.ports import free_port
from support.processes.exporter_process import exporting, logstash
from support.processes.running_stack import Stack, running
from tidegate.checks.running import gateway, grafana
from tidegate.checks.running.run import run_checks
from tidegate.checks.running.target import Target
from tidegate.runtime.check_results import Result
from tidegate.settings import Settings

pytestmark = pytest.mark.e2e
NAMESPACE = "verified"
SLOWEST_RULES_SECONDS = 150
"""Rules are evaluated every minute at the latest, and some read what others recorded."""


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, artefact: Path, elasticsearch_url: str
) -> Iterator[Stack]:
    """A stack that received the first requests, and nothing else."""
    folder = tmp_path_factory.mktemp("verify")
    with (
        logstash() as logstash_url,
        running(
            folder,
            artefact,
            store={"kind": "elasticsearch", "elasticsearch": {"url": elasticsearch_url}},
            service={"namespace": NAMESPACE},
            exporter={"port": free_port(), "logstash_url": logstash_url},
        ) as stack,
        exporting(stack),
    ):
        sent = stack.run("tidegate", "setup", "first-requests", "--url", stack.url)
        assert sent.returncode == 0, sent.stdout + sent.stderr
        yield stack


@pytest.fixture(scope="module")
def grafana_url(stack: Stack) -> Iterator[str]:
    url = stack.settings.store.elasticsearch.url
    with serving(GrafanaDouble(stack.prometheus, url).app()) as served:
        yield served


async def verified(
    stack: Stack, url: str, wait_seconds: float, namespace: str = NAMESPACE
) -> dict[str, Result]:
    sections = stack.settings.model_dump()
    sections["verify"]["grafana_url"] = url
    sections["service"]["namespace"] = namespace
    settings = Settings.model_validate(sections)
    async with aiohttp.ClientSession() as session:
        target = Target(settings, session, stack.url, stack.prometheus, None)
        await gateway.check(target)  # as in `tidegate verify`: its request is in the time range
        results = await run_checks(target, wait_seconds, checks={"Grafana": grafana.check})
    return {one.name: one for one in results["Grafana"]}


async def test_each_panel_that_must_have_data_has_some_after_the_first_requests(
    stack: Stack, grafana_url: str
) -> None:
    results = await verified(stack, grafana_url, SLOWEST_RULES_SECONDS)
    problems = {name: one.details for name, one in results.items() if one.state != "ok"}
    assert problems == {}


async def test_the_namespace_of_another_stack_is_not_offered(
    stack: Stack, grafana_url: str
) -> None:
    results = await verified(stack, grafana_url, 0, namespace="other")
    text = f"the variable Namespace offers {NAMESPACE}, and not other"
    for name in ("service", "scaling", "pipeline", "model"):
        assert text in results[f"dashboard {name}"].details
