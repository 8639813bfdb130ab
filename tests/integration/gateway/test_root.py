"""What the gateway answers at `/` in local mode."""

from __future__ import annotations

import pytest

from support.processes.gateway_process import Behind, StartGateway
from tidegate.settings import Settings

pytestmark = pytest.mark.integration
BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"
LINKS = {"console": "http://127.0.0.1:8080", "docs": "/docs"}
PORT = Settings().console.port


@pytest.mark.parametrize(
    ("links", "accept", "host", "location"),
    [
        (LINKS, BROWSER, "127.0.0.1:8000", f"http://127.0.0.1:{PORT}"),
        (LINKS, BROWSER, "tide.example:8000", f"http://tide.example:{PORT}"),
        (LINKS, BROWSER, "[::1]:8000", f"http://[::1]:{PORT}"),
        (LINKS, "*/*", "127.0.0.1:8000", None),
        ({"docs": "/docs"}, BROWSER, "127.0.0.1:8000", None),
    ],
)
async def test_it_leads_a_browser_to_the_console_and_lists_the_links_to_others(
    links: dict[str, str],
    accept: str,
    host: str,
    location: str | None,
    start_gateway: StartGateway,
) -> None:
    gateway = await start_gateway([], links=links)
    headers = {"Accept": accept, "Host": host}
    asked = gateway.session.get(gateway.url, headers=headers, allow_redirects=False)
    async with asked as answer:
        assert answer.headers.get("Location") == location
        assert answer.status == (302 if location else 200)
        if not location:
            assert await answer.json() == {"service": "flights", **links}


async def test_an_application_answers_it_itself(behind: Behind) -> None:
    gateway, (replica,) = await behind({})
    async with gateway.session.get(gateway.url, headers={"Accept": BROWSER}) as answer:
        assert await answer.json() == {"port": replica.port}
