"""`tidegate setup kibana`: puts data views, saved searches and the dashboard into a Kibana.

It may run at each start. What it makes it knows again by its id; it touches nothing else.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import aiohttp

from tidegate.observability_files.kibana import (
    DEFAULT_DATA_VIEW,
    dashboard_path,
    data_view_requests,
    data_views,
    ndjson,
    saved_objects,
)
from tidegate.provision.elasticsearch.wait import Say
from tidegate.provision.kibana.api import Kibana, trust
from tidegate.provision.kibana.api_key import api_key
from tidegate.provision.problems import ProvisionError
from tidegate.settings import Settings

POLL_SECONDS: Final = 1.0


def set_up(settings: Settings, say: Say) -> None:
    """Wait until Kibana is ready, then fill it; the same again changes nothing.

    Args:
        settings: those in force; the searches follow `slo.latency_seconds`.
        say: is told each thing that was done, in a line.

    Raises:
        ProvisionError: something is in the way; what was said before that is done.
    """
    asyncio.run(_set_up(settings, say))


async def _set_up(settings: Settings, say: Say) -> None:
    url = settings.kibana.url
    ca_file = settings.kibana.ca_file
    connector = aiohttp.TCPConnector(ssl=trust(ca_file, "kibana.ca_file") if ca_file else True)
    async with aiohttp.ClientSession(connector=connector) as session:
        await _wait(Kibana(session, url), settings.kibana.start_seconds, say)
        with api_key(settings) as key:
            kibana = Kibana(session, url, key)
            version = await kibana.version()
            say(f"Kibana {version} at {url} is ready" if version else f"Kibana at {url} is ready")
            await _fill(kibana, settings, say)


async def _wait(kibana: Kibana, seconds: float, say: Say) -> None:
    deadline = time.monotonic() + seconds
    told = ""
    while problem := await kibana.problem():
        if problem != told:
            say(f"waiting for Kibana at {kibana.url}: {problem}")
            told = problem
        if time.monotonic() > deadline:
            raise ProvisionError(
                f"Kibana at {kibana.url} was not ready within {seconds:g} s (kibana.start_seconds): "
                f"{problem}. If it runs there (kibana.url), its own log says why"
            )
        await asyncio.sleep(POLL_SECONDS)


async def _fill(kibana: Kibana, settings: Settings, say: Say) -> None:
    # First the data views: the objects refer to them.
    views = data_views(settings)
    for view, request in zip(views, data_view_requests(settings), strict=True):
        await kibana.put_data_view(request)
        say(f"data view {view.name}: {view.pattern}")
    await kibana.propose_default(DEFAULT_DATA_VIEW)
    (default,) = (view for view in views if view.id == DEFAULT_DATA_VIEW)
    say(f"default data view, unless another was chosen: {default.name}")
    objects = saved_objects(settings)
    number = await kibana.import_objects(ndjson(objects))
    if number != len(objects):
        raise ProvisionError(
            f"Kibana at {kibana.url} imported {number} objects of {len(objects)} and does not say why"
        )
    for each in objects:
        say(f"{each['type']} {each['attributes']['title']}")
    for each in objects:
        if each["type"] == "dashboard":
            say(f"to look at it: {dashboard_path(each['id'])}")
