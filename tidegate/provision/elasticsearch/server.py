"""The Elasticsearch that is set up: how it is spoken to, and whether anything can be changed in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from elasticsearch import ApiError, Elasticsearch, TransportError

from tidegate.provision.problems import ProvisionError, reason
from tidegate.provision.secrets.version_stamp import Version, version
from tidegate.settings import Settings
from tidegate.store.elasticsearch import responses

REQUEST_SECONDS: Final = 30.0
# Data stream options (the failure store) can be set since 9.1; 9.2 is what the tests run.
OLDEST: Final[Version] = (9, 2, 0)
NEWEST_MAJOR: Final = 9
# The number of the block that a full disk puts on an index, in Elasticsearch's IndexMetadata.
READ_ONLY_ALLOW_DELETE: Final = "12"
GIB: Final = 2**30


def read_password(folder: Path, name: str) -> str:
    """A secret's value.

    Raises:
        ProvisionError: there is none, or it cannot be read.
    """
    path = folder / name
    try:
        value = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else "it is not text"
        raise ProvisionError(
            f"{path} cannot be read: {why}; provision.secrets_dir says where"
        ) from error
    if not value:
        raise ProvisionError(f"{path} is empty: a password belongs there")
    return value


@contextmanager
def connected(settings: Settings) -> Iterator[Elasticsearch]:
    """Connections to it, as the user who sets it up.

    Raises:
        ProvisionError: the password or the certificate authority cannot be read.
    """
    where = settings.store.elasticsearch
    options: dict[str, Any] = {}
    if where.ca_file is not None:
        if not where.ca_file.is_file():
            raise ProvisionError(f"store.elasticsearch.ca_file: there is no file {where.ca_file}")
        options["ca_certs"] = str(where.ca_file)
    password = read_password(settings.provision.secrets_dir, "elastic")
    with Elasticsearch(
        where.url,
        basic_auth=(settings.provision.username, password),
        request_timeout=REQUEST_SECONDS,
        max_retries=0,
        retry_on_timeout=False,
        **options,
    ) as client:
        yield client


@contextmanager
def asking(about: str) -> Iterator[None]:
    """Every trouble with a request becomes a sentence that says what it was about.

    Raises:
        ProvisionError: Elasticsearch refuses it, or cannot be reached.
    """
    try:
        yield
    except ApiError as error:
        raise ProvisionError(
            f"{about}: Elasticsearch answers {error.status_code}: {responses.reason(error)}"
        ) from error
    except TransportError as error:
        raise ProvisionError(f"{about}: Elasticsearch cannot be reached: {plain(error)}") from error


def version_problem(number: str) -> str:
    """Why a server of this version cannot be set up; empty if it can."""
    found = version(number.removesuffix("-SNAPSHOT"))
    if found is not None and found >= OLDEST and found[0] <= NEWEST_MAJOR:
        return ""
    return f"it is Elasticsearch {number}, and this stack needs {needed()}"


def check(client: Elasticsearch) -> str:
    """Its version, once nothing stands against changing anything.

    Raises:
        ProvisionError: it is too old or too new, or it writes no more because its disk is full.
    """
    with asking("the server's version"):
        # `GET /` needs more than some accounts may, and not every build has it.
        (node,) = client.nodes.info(node_id="_local", metric="_none").body["nodes"].values()
    if problem := version_problem(node["version"]):
        raise ProvisionError(problem)
    with asking("the server's disk"):
        blocks = client.cluster.state(metric="blocks").body["blocks"]
        stats = client.nodes.stats(node_id="_local", metric="fs").body["nodes"]
    if problem := full_problem(blocks, [one["fs"]["total"] for one in stats.values()]):
        raise ProvisionError(problem)
    return str(node["version"])


def full_problem(blocks: dict[str, Any], disks: list[dict[str, int]]) -> str:
    """Why nothing can be written, in words; empty if it can."""
    for block in blocks.get("global", {}).values():
        return f"Elasticsearch takes no changes: {block['description']}"
    full = [
        name for name, found in blocks.get("indices", {}).items() if READ_ONLY_ALLOW_DELETE in found
    ]
    if not full:
        return ""
    free = min((disk["available_in_bytes"] for disk in disks), default=0)
    return (
        f"Elasticsearch made {len(full)} indices read-only ({full[0]} …), as it does when its disk has less"
        f" free space than the flood_stage watermark; {free / GIB:.1f} GiB are free now: free some space,"
        " and it ends that"
    )


def needed() -> str:
    """Which versions can be set up, in words."""
    return f"{OLDEST[0]}.{OLDEST[1]} or a later {NEWEST_MAJOR}"


def plain(error: TransportError) -> str:
    """The system's own words, where the libraries have wrapped them in their objects' names."""
    found = re.search(r"\[Errno -?\d+\] ([\w ,.-]+)", error.message)
    return found[1] if found else error.message
