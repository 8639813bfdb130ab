"""The connection to the Elasticsearch that is set up, and the check that it accepts changes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from elasticsearch import ApiError, Elasticsearch, TransportError

from tidegate.provision.errors import ProvisionError
from tidegate.provision.secrets.version_stamp import Version, parse_version
from tidegate.runtime.http_client import HttpError
from tidegate.runtime.secret_files import SecretFileError, read_secret
from tidegate.settings import Settings
from tidegate.store.elasticsearch import responses
from tidegate.store.elasticsearch.authorities import authority_options

REQUEST_SECONDS: Final = 30.0
# Data stream options (the failure store) exist since 9.1; the tests run 9.2.
MIN_VERSION: Final[Version] = (9, 2, 0)
MAX_MAJOR_VERSION: Final = 9
# The id of the block that Elasticsearch puts on an index when the disk is full (IndexMetadata).
READ_ONLY_ALLOW_DELETE: Final = "12"
GIB: Final = 2**30


def read_password(folder: Path, name: str) -> str:
    """Read the value of a secret."""
    try:
        return read_secret(folder / name, "provision.secrets_dir")
    except SecretFileError as error:
        raise ProvisionError(str(error)) from error


@contextmanager
def connect(settings: Settings) -> Iterator[Elasticsearch]:
    """A client with the credentials of the user who sets it up."""
    server = settings.store.elasticsearch
    try:
        authorities = authority_options(server)
    except HttpError as error:
        raise ProvisionError(str(error)) from error
    password = read_password(settings.provision.secrets_dir, "elastic")
    with Elasticsearch(
        server.url,
        basic_auth=(settings.provision.username, password),
        request_timeout=REQUEST_SECONDS,
        max_retries=0,
        retry_on_timeout=False,
        **authorities,
    ) as client:
        yield client


@contextmanager
def provision_errors(subject: str) -> Iterator[None]:
    """Turn each error of a request into a ProvisionError that names the subject."""
    try:
        yield
    except ApiError as error:
        raise ProvisionError(
            f"{subject}: Elasticsearch responds with {error.status_code}: {responses.reason(error)}"
        ) from error
    except TransportError as error:
        raise ProvisionError(
            f"{subject}: Elasticsearch cannot be reached: {transport_reason(error)}"
        ) from error


def version_problem(number: str) -> str:
    """Why a server of this version is not supported; empty if it is."""
    found = parse_version(number.removesuffix("-SNAPSHOT"))
    if found is not None and found >= MIN_VERSION and found[0] <= MAX_MAJOR_VERSION:
        return ""
    return f"Elasticsearch {number} is not supported: this stack needs {supported_versions()}"


def check_server(client: Elasticsearch) -> str:
    """Check that the server accepts changes; returns its version.

    Raises:
        ProvisionError: its version is not supported, or it is read-only because its disk is full.
    """
    with provision_errors("the server's version"):
        # Some accounts lack the privilege for `GET /`, and not every build has it.
        (node,) = client.nodes.info(node_id="_local", metric="_none").body["nodes"].values()
    if problem := version_problem(node["version"]):
        raise ProvisionError(problem)
    with provision_errors("the server's disk"):
        blocks = client.cluster.state(metric="blocks").body["blocks"]
        stats = client.nodes.stats(node_id="_local", metric="fs").body["nodes"]
    if problem := read_only_problem(blocks, [one["fs"]["total"] for one in stats.values()]):
        raise ProvisionError(problem)
    return str(node["version"])


def read_only_problem(blocks: dict[str, Any], disks: list[dict[str, int]]) -> str:
    """Why the server is read-only; empty if it is not."""
    for block in blocks.get("global", {}).values():
        return f"Elasticsearch accepts no changes: {block['description']}"
    full = [
        name for name, found in blocks.get("indices", {}).items() if READ_ONLY_ALLOW_DELETE in found
    ]
    if not full:
        return ""
    free = min((disk["available_in_bytes"] for disk in disks), default=0)
    return (
        f"Elasticsearch has made {len(full)} indices read-only ({full[0]} …), because the free space of its"
        f" disk was below the flood_stage watermark; {free / GIB:.1f} GiB are free now: free more space, and"
        " the indices become writable again"
    )


def supported_versions() -> str:
    """The supported versions as text."""
    return f"{MIN_VERSION[0]}.{MIN_VERSION[1]} or a later {MAX_MAJOR_VERSION}"


def transport_reason(error: TransportError) -> str:
    """The reason of the operating system, without the object names that the libraries add."""
    found = re.search(r"\[Errno -?\d+\] ([\w ,.-]+)", error.message)
    return found[1] if found else error.message
