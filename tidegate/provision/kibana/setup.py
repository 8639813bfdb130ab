"""`tidegate setup kibana`: sets up data views, saved searches and the dashboard in Kibana.

It can run at each start: it finds its own objects by their ids and changes no others.
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
from tidegate.provision.commands import Report
from tidegate.provision.errors import ProvisionError
from tidegate.provision.kibana.api import Kibana
from tidegate.runtime.http_client import HttpError, tls_context
from tidegate.runtime.secret_files import SecretFileError, authorization, read_login
from tidegate.settings import Settings

POLL_SECONDS: Final = 1.0


def set_up(settings: Settings, report: Report) -> None:
    """Wait until Kibana is ready, then set it up. The operation is idempotent.

    Raises:
        ProvisionError: a step failed; the steps reported before are complete.
    """
    asyncio.run(_set_up(settings, report))


async def _set_up(settings: Settings, report: Report) -> None:
    own, file = settings.kibana, settings.kibana.password_file
    try:
        tls = tls_context(own.ca_file, "kibana.ca_file")
        login = read_login(own.username if file else "", file, "kibana.password_file")
    except (HttpError, SecretFileError) as error:
        raise ProvisionError(str(error)) from error
    async with aiohttp.ClientSession() as session:
        # Its status needs no login, which it refuses while Elasticsearch starts.
        await _wait(Kibana(session, own.url, tls), own.start_seconds, report)
        kibana = Kibana(session, own.url, tls, authorization(login))
        version = await kibana.version()
        report(
            f"Kibana {version} at {own.url} is ready"
            if version
            else f"Kibana at {own.url} is ready"
        )
        await _import(kibana, settings, report)


async def _wait(kibana: Kibana, seconds: float, report: Report) -> None:
    deadline = time.monotonic() + seconds
    reported = ""
    while problem := await kibana.problem():
        if problem != reported:
            report(f"waiting for Kibana at {kibana.url}: {problem}")
            reported = problem
        if time.monotonic() > deadline:
            raise ProvisionError(
                f"Kibana at {kibana.url} was not ready within {seconds:g} s (kibana.start_seconds): "
                f"{problem}. Check kibana.url and the log of Kibana"
            )
        await asyncio.sleep(POLL_SECONDS)


async def _import(kibana: Kibana, settings: Settings, report: Report) -> None:
    # The data views come first: the objects refer to them.
    views = data_views(settings)
    for view, request in zip(views, data_view_requests(settings), strict=True):
        await kibana.post("/api/data_views/data_view", request)
        report(f"data view {view.name}: {view.pattern}")
    # Unless a user has chosen another.
    choice = {"data_view_id": DEFAULT_DATA_VIEW, "force": False}
    await kibana.post("/api/data_views/default", choice)
    (default,) = (view for view in views if view.id == DEFAULT_DATA_VIEW)
    report(f"default data view, unless another has been chosen: {default.name}")
    objects = saved_objects(settings)
    number = await kibana.import_objects(ndjson(objects))
    if number != len(objects):
        raise ProvisionError(
            f"Kibana at {kibana.url} imported {number} objects of {len(objects)} without an error"
        )
    for each in objects:
        report(f"{each['type']} {each['attributes']['title']}")
    for each in objects:
        if each["type"] == "dashboard":
            report(f"dashboard: {dashboard_path(each['id'])}")
