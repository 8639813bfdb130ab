"""The privileges of each account, allowed and denied, on a real Elasticsearch with security."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from elasticsearch import AuthorizationException, Elasticsearch

from support.eventually import eventually
from support.panels import kibana as kibana_panels
from support.panels.kibana_dashboards import dashboards
from support.processes.elasticsearch_server import ElasticsearchServer
from support.samples.elasticsearch_accounts import client_of, superuser_client
from tidegate.checks.running.target import Target
from tidegate.events.event import Event, Origin, make_event
from tidegate.provision.elasticsearch.roles import ROLES
from tidegate.settings import Elasticsearch as ElasticsearchSettings
from tidegate.settings import Settings
from tidegate.store.base import SearchRequest
from tidegate.store.elasticsearch.store import ElasticsearchStore
from tidegate.store.elasticsearch.templates import install

pytestmark = pytest.mark.integration
DOCUMENT = {"@timestamp": "2026-03-01T10:00:00Z", "message": "hello"}


@dataclass(frozen=True)
class Stream:
    name: str
    index: str
    """Its backing index, which operations on one document must name."""


Attempt = Callable[[Elasticsearch, Stream], Any]


@pytest.fixture(scope="module")
def stream(file_realm_elasticsearch: ElasticsearchServer) -> Stream:
    """A stream of Tidegate with one document, and an index that does not belong to Tidegate."""
    name = f"logs-tidegate.app-{uuid.uuid4().hex}"
    with superuser_client(file_realm_elasticsearch) as owner:
        install(owner, "7d")
        owner.create(index=name, id="existing", document=DOCUMENT, refresh=True)
        owner.index(index="foreign", id="existing", document=DOCUMENT, refresh=True)
        (index,) = owner.indices.get_mapping(index=name).body
    return Stream(name, index)


@pytest.fixture
def clients(file_realm_elasticsearch: ElasticsearchServer) -> Iterator[dict[str, Elasticsearch]]:
    by_secret = {
        role.secret: client_of(file_realm_elasticsearch, role.name, f"password-of-{role.secret}")
        for role in ROLES
    }
    yield by_secret
    for client in by_secret.values():
        client.close()


ATTEMPTS: dict[str, Attempt] = {
    "append an event": lambda client, stream: client.create(
        index=stream.name, id=uuid.uuid4().hex, document=DOCUMENT
    ),
    "create a stream of Tidegate": lambda client, _: client.create(
        index=f"traces-tidegate.span-{uuid.uuid4().hex}", id="x", document=DOCUMENT
    ),
    "read the health of the cluster": lambda client, _: client.cluster.health(),
    "search": lambda client, stream: client.search(index=stream.name),
    "get an event": lambda client, stream: client.get(index=stream.index, id="existing"),
    "count": lambda client, stream: client.count(index=stream.name),
    "read the mapping": lambda client, stream: client.indices.get_mapping(index=stream.name),
    "read statistics": lambda client, stream: client.indices.stats(index=stream.name),
    "overwrite an event": lambda client, stream: client.index(
        index=stream.index, id="existing", document=DOCUMENT, if_seq_no=0, if_primary_term=1
    ),
    "update an event": lambda client, stream: client.update(
        index=stream.index, id="existing", doc={"message": "else"}
    ),
    "delete an event": lambda client, stream: client.delete(index=stream.index, id="existing"),
    "delete an index": lambda client, stream: client.indices.delete(index=stream.index),
    "write to another index": lambda client, _: client.index(index="foreign", document=DOCUMENT),
    "write to a stream of another kind": lambda client, _: client.create(
        index="logs-other.app-default", id="x", document=DOCUMENT
    ),
    "create an index": lambda client, _: client.indices.create(index="anything"),
    "read another index": lambda client, _: client.search(index="foreign"),
    "change the mapping": lambda client, stream: client.indices.put_mapping(
        index=stream.name, properties={"x": {"type": "keyword"}}
    ),
    "change settings": lambda client, stream: client.indices.put_settings(
        index=stream.name, settings={"index.blocks.write": True}
    ),
    "change templates": lambda client, _: client.cluster.put_component_template(
        name="tidegate-settings", template={}
    ),
    "create a user": lambda client, _: client.security.put_user(
        username="intruder", password="intruder-password", roles=["superuser"]
    ),
    "create an API key": lambda client, _: client.security.create_api_key(name="intruder"),
    "change the settings of the cluster": lambda client, _: client.cluster.put_settings(
        persistent={"cluster.blocks.read_only": True}
    ),
}
READS = {"search", "get an event", "count", "read the mapping"}
ALLOWED = {
    "writer": {"append an event", "create a stream of Tidegate", "read the health of the cluster"},
    "reader": {*READS, "read statistics", "read the health of the cluster"},
    "viewer": READS,
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
@pytest.mark.parametrize("account", ALLOWED)
def test_each_account_has_only_the_privileges_that_it_needs(
    clients: dict[str, Elasticsearch], stream: Stream, account: str, attempt: str
) -> None:
    client = clients[account]
    if attempt in ALLOWED[account]:
        ATTEMPTS[attempt](client, stream)
        return
    with pytest.raises(AuthorizationException):
        ATTEMPTS[attempt](client, stream)


def test_the_writer_cannot_search_with_a_wildcard(
    clients: dict[str, Elasticsearch], stream: Stream
) -> None:
    assert clients["reader"].search(index="*")["hits"]["total"]["value"] >= 1
    with pytest.raises(AuthorizationException):
        clients["writer"].search(index="logs-*")


async def refused_panels(server: ElasticsearchServer, account: str, folder: Path) -> list[str]:
    """The panels of Kibana whose query an account may not run."""
    (folder / account).write_text(f"password-of-{account}\n")
    settings = Settings.model_validate(
        {
            "store": {"kind": "elasticsearch", "elasticsearch": {"url": server.url}},
            "verify": {
                "kibana_username": f"tidegate_{account}",
                "kibana_password_file": folder / account,
            },
        }
    )
    (dashboard,) = dashboards(settings)
    async with aiohttp.ClientSession() as session:
        target = Target(settings, session, "", "", None)
        data = await kibana_panels.data(target, dashboard)
    others = [line for line in data.details if "no data" not in line]
    assert all("is unauthorized for user" in line for line in others), others
    return others


async def test_the_viewer_may_run_the_query_of_each_panel_of_kibana(
    file_realm_elasticsearch: ElasticsearchServer, stream: Stream, tmp_path: Path
) -> None:
    del stream  # needed for its templates and users
    (dashboard,) = dashboards(Settings())
    assert await refused_panels(file_realm_elasticsearch, "viewer", tmp_path) == []
    refused = await refused_panels(file_realm_elasticsearch, "writer", tmp_path)
    assert len(refused) == len(dashboard.panels)


def test_the_store_appends_as_the_writer_and_searches_as_the_reader(
    file_realm_elasticsearch: ElasticsearchServer, stream: Stream, tmp_path: Path
) -> None:
    del stream  # needed for its templates and users
    namespace = uuid.uuid4().hex
    with (
        closing(store(file_realm_elasticsearch, "writer", tmp_path)) as writer,
        closing(store(file_realm_elasticsearch, "reader", tmp_path, read_only=True)) as reader,
    ):
        assert writer.append([event(namespace)]) == []
        assert writer.append([event(namespace, status={"code": 1})]) == []
        request = SearchRequest(f"data_stream.namespace:{namespace}")
        eventually(lambda: reader.search(request).total == 2, "both events are found")


def test_an_event_that_contradicts_the_mapping_is_rejected(
    file_realm_elasticsearch: ElasticsearchServer, stream: Stream, tmp_path: Path
) -> None:
    """With a failure store the rejection would be hidden; docs/adr/failure-store.md."""
    del stream  # needed for its templates and users
    wrong = event(uuid.uuid4().hex, tidegate={"model": "not an object"})
    malformed = event(uuid.uuid4().hex, http={"response": {"status_code": "unknown"}})
    with closing(store(file_realm_elasticsearch, "writer", tmp_path)) as writer:
        (rejected,) = writer.append([malformed, wrong])
    assert rejected.index == 1
    assert "tidegate.model" in rejected.reason


def store(
    server: ElasticsearchServer, account: str, folder: Path, *, read_only: bool = False
) -> ElasticsearchStore:
    file = folder / account
    file.write_text(f"password-of-{account}\n")
    return ElasticsearchStore(
        ElasticsearchSettings(url=server.url, username=f"tidegate_{account}", password_file=file),
        read_only=read_only,
    )


def event(namespace: str, **fields: Any) -> Event:
    origin = Origin("flights", "1.2.3", "local", "flights-1", namespace)
    return make_event(origin, "app", "hello", unix_ns=time.time_ns(), fields=fields or None)
