"""Probes an Elasticsearch that the stack uses but does not run."""

from __future__ import annotations

from typing import Final

import aiohttp

from tidegate.runtime.http_client import HttpError, elasticsearch_client
from tidegate.runtime.secret_files import SecretFileError
from tidegate.settings import Elasticsearch

TIMEOUT_SECONDS: Final = 5.0


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
