"""What the gateway answers at `/` in local mode."""

from __future__ import annotations

import pytest

from support.processes.gateway_process import StartGateway, StartReplica
from tidegate.settings import Settings

pytestmark = pytest.mark.integration
BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"
LINKS = {"console": "http://127.0.0.1:8080", "docs": "/docs"}
PORT = Settings().console.port


@pytest.mark.parametrize(
    ("links", "accept", "status", "location"),
    [
        (LINKS, BROWSER, 302, f"http://127.0.0.1:{PORT}"),
        (LINKS, "*/*", 200, None),
        ({"docs": "/docs"}, BROWSER, 200, None),
    ],
)
async def test_it_leads_a_browser_to_the_console_and_lists_the_links_to_others(
    links: dict[str, str],
    accept: str,
    status: int,
    location: str | None,
    start_gateway: StartGateway,
) -> None:
    gateway = await start_gateway([], links=links)
    asked = gateway.session.get(gateway.url, headers={"Accept": accept}, allow_redirects=False)
    async with asked as answer:
        assert (answer.status, answer.headers.get("Location")) == (status, location)
        if not location:
            assert await answer.json() == {"service": "flights", **links}


async def test_a_browser_stays_at_the_machine_that_it_asked(start_gateway: StartGateway) -> None:
    gateway = await start_gateway([], links=LINKS)
    for host, name in (("tide.example:8000", "tide.example"), ("[::1]:8000", "[::1]")):
        headers = {"Accept": BROWSER, "Host": host}
        asked = gateway.session.get(gateway.url, headers=headers, allow_redirects=False)
        async with asked as answer:
            assert answer.headers["Location"] == f"http://{name}:{PORT}"


async def test_an_application_answers_it_itself(
    start_gateway: StartGateway, start_replica: StartReplica
) -> None:
    replica = await start_replica()
    gateway = await start_gateway([replica.address])
    await gateway.ready_replicas(1)
    async with gateway.session.get(gateway.url, headers={"Accept": BROWSER}) as answer:
        assert await answer.json() == {"port": replica.port}
