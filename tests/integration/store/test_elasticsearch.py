"""Behaviour of the Elasticsearch store only, against a real Elasticsearch."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from elasticsearch import Elasticsearch

from support.components import IN_CI
from support.eventually import eventually
from support.ports import free_port
from support.processes.elasticsearch_server import ElasticsearchServer
from support.samples.elasticsearch_accounts import add_roles, add_user, change_users
from support.store_refresh import refresh
from tidegate.checks.running import events
from tidegate.checks.running.target import Target
from tidegate.collector.batch_append import append_batch
from tidegate.events.event import Event, Origin, make_event
from tidegate.settings import Elasticsearch as ElasticsearchSettings
from tidegate.settings import Settings, load
from tidegate.store import open_store
from tidegate.store.base import RequestRefusedError, SearchRequest, StoreUnavailableError
from tidegate.store.elasticsearch.store import ElasticsearchStore
from tidegate.store.search import commands
from tidegate.store.search.follower import Follower

SINCE = datetime(2020, 1, 1, tzinfo=UTC)

pytestmark = pytest.mark.integration


def event(namespace: str, message: str = "hello", **more: Any) -> Event:
    origin = Origin("flights", "1.2.3", "local", "flights-1", namespace)
    return make_event(origin, "app", message, unix_ns=time.time_ns(), fields=more or None)


@pytest.fixture(scope="module")
def elasticsearch_url(elasticsearch_server: ElasticsearchServer) -> str:
    """Of a server that only this module uses, because it stops it."""
    return elasticsearch_server.url


@pytest.fixture
def namespace() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def client(elasticsearch_url: str) -> Iterator[Elasticsearch]:
    with Elasticsearch(elasticsearch_url) as made:
        yield made


@pytest.fixture
def store(elasticsearch_url: str) -> Iterator[ElasticsearchStore]:
    with closing(ElasticsearchStore(ElasticsearchSettings(url=elasticsearch_url))) as made:
        yield made


def found(store: ElasticsearchStore, namespace: str) -> list[str]:
    request = SearchRequest(f"data_stream.namespace:{namespace}", order="asc", size=10_000)
    refresh(store)
    return [hit["message"] for hit in store.search(request).hits]


def test_events_are_stored_in_the_data_stream_of_their_dataset_and_namespace(
    store: ElasticsearchStore, client: Elasticsearch, namespace: str
) -> None:
    one = event(namespace)
    store.append([one])
    client.indices.refresh(index=f"logs-tidegate.app-{namespace}")
    (hit,) = client.search(index=f"logs-tidegate.app-{namespace}")["hits"]["hits"]
    assert hit["_id"] == one["event"]["id"]
    assert hit["_index"].startswith(f".ds-logs-tidegate.app-{namespace}-")


def test_a_search_does_not_refresh(
    store: ElasticsearchStore, client: Elasticsearch, namespace: str
) -> None:
    store.append([event(namespace)])
    stream = f"logs-tidegate.app-{namespace}"
    client.indices.put_settings(index=stream, settings={"index.refresh_interval": "-1"})
    client.indices.refresh(index=stream)
    store.append([event(namespace)])
    request = SearchRequest(f"data_stream.namespace:{namespace}")
    assert store.search(request).total == 1
    client.indices.put_settings(index=stream, settings={"index.refresh_interval": "1s"})
    eventually(lambda: store.search(request).total == 2)


def test_a_search_succeeds_while_new_streams_are_created(
    elasticsearch_url: str, store: ElasticsearchStore, namespace: str
) -> None:
    def make_streams() -> None:
        with closing(ElasticsearchStore(ElasticsearchSettings(url=elasticsearch_url))) as other:
            for number in range(10):
                assert other.append([event(f"{namespace}{number}", namespace)]) == []

    with ThreadPoolExecutor() as threads:
        making = threads.submit(make_streams)
        request = SearchRequest(f"message:{namespace}", size=100)
        while not making.done():
            store.search(request)
        making.result()
    refresh(store)
    assert store.search(request).total == 10


def test_templates_are_installed_with_the_configured_retention(
    elasticsearch_url: str, client: Elasticsearch
) -> None:
    for retention in ("3d", "3d", "7d"):
        settings = ElasticsearchSettings(url=elasticsearch_url, retention=retention)
        ElasticsearchStore(settings).close()
        (template,) = client.cluster.get_component_template(name="tidegate-settings").body[
            "component_templates"
        ]
        lifecycle = template["component_template"]["template"]["lifecycle"]
        assert lifecycle["data_retention"] == retention
    names = client.indices.get_index_template(name="*-tidegate").body["index_templates"]
    assert {one["name"] for one in names} == {"logs-tidegate", "traces-tidegate"}
    assert {one["index_template"]["priority"] for one in names} == {500}


def test_new_fields_are_added_to_the_mapping_of_an_existing_stream(
    elasticsearch_url: str, client: Elasticsearch, namespace: str
) -> None:
    settings = ElasticsearchSettings(url=elasticsearch_url)
    stream = f"logs-tidegate.app-{namespace}"
    client.indices.put_index_template(
        name="older",
        index_patterns=[stream],
        data_stream={},
        priority=600,
        template={"mappings": {"dynamic": False, "properties": {"message": {"type": "text"}}}},
    )
    client.create(index=stream, id="x", document=event(namespace, "before"))
    client.indices.delete_index_template(name="older")
    with closing(ElasticsearchStore(settings)) as store:
        store.append([event(namespace, "after")])
        assert found(store, namespace) == ["after"]


def test_readers_get_the_events_of_their_own_service_and_namespace(
    elasticsearch_url: str,
    store: ElasticsearchStore,
    namespace: str,
    *,
    capsys: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # without a tidegate.toml

    def settings(name: str, space: str) -> Settings:
        server = {"kind": "elasticsearch", "elasticsearch": {"url": elasticsearch_url}}
        named = {"name": name} if name else {}
        return load(store=server, service={**named, "namespace": space})

    production, staging = namespace, f"{namespace}_staging"
    trace = {"id": uuid.uuid4().hex}
    for name, space in [("flights", production), ("flights", staging), ("shop", production)]:
        origin = Origin(name, "1.2.3", "local", f"{name}-1", space)
        fields = {"trace": trace, "tidegate": {"model": {"name": "m", "version": "1"}}}
        text = f"{name} {space}"
        written = make_event(origin, "outcome", text, unix_ns=time.time_ns(), fields=fields)
        assert store.append([written]) == []
    refresh(store)

    def messages(query: str, name: str = "flights", **wanted: Any) -> list[str]:
        with closing(open_store(settings(name, production), read_only=True)) as reader:
            hits = reader.search(SearchRequest(query, order="asc", **wanted)).hits
            followed = [] if wanted else list(Follower(reader, query, SINCE).events())
        assert wanted or hits == followed
        return [one["message"] for one in hits]

    own = f"flights {production}"
    assert messages("event.dataset:tidegate.outcome") == [own]
    assert messages("service.name:*") == [own, f"shop {production}"]
    # An application names its service itself, where the setting does not.
    assert messages("", name="") == [own, f"shop {production}"]
    assert messages(f"data_stream.namespace:{namespace}*") == [own, f"flights {staging}"]
    assert len(messages(f"trace.id:{trace['id']}", everyone=True)) == 3

    nobody = settings("nobody", production)
    wanted: dict[str, Any] = {"since": "1h", "until": "", "limit": 9, "as_json": False}
    assert commands.search(nobody, "event.dataset:tidegate.outcome", **wanted) == 1
    hint = f"add service.name:shop AND data_stream.namespace:{production} to see them"
    assert hint in capsys.readouterr().err.replace('"', "")
    assert commands.trace(nobody, trace["id"], as_json=True) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


async def test_verify_counts_the_events_of_its_own_service_and_namespace(
    elasticsearch_url: str, store: ElasticsearchStore, namespace: str
) -> None:
    assert store.append([event(namespace)]) == []
    refresh(store)
    server = {"kind": "elasticsearch", "elasticsearch": {"url": elasticsearch_url}}
    texts = {}
    async with aiohttp.ClientSession() as session:
        for space in (namespace, f"{namespace}_staging"):
            found = load(store=server, service={"namespace": space})
            target = Target(found, session, "http://127.0.0.1:9", "", None)
            texts[space] = {one.name: one.text for one in await events.check(target)}["logs"]
    assert texts == {
        namespace: "1 event",
        f"{namespace}_staging": "no event in logs-tidegate.*-*",
    }


def test_an_unreachable_elasticsearch_is_unavailable(namespace: str) -> None:
    unreachable = f"http://127.0.0.1:{free_port()}"
    settings = ElasticsearchSettings(url=unreachable)
    with pytest.raises(StoreUnavailableError, match=f"{unreachable} cannot be reached"):
        ElasticsearchStore(settings)
    reader = ElasticsearchStore(settings, read_only=True)
    with closing(reader), pytest.raises(StoreUnavailableError, match="cannot be reached"):
        reader.search(SearchRequest())


def test_the_store_is_unavailable_while_an_index_is_blocked(
    store: ElasticsearchStore, client: Elasticsearch, namespace: str
) -> None:
    stream = f"logs-tidegate.app-{namespace}"
    store.append([event(namespace, "first")])
    client.indices.put_settings(index=stream, settings={"index.blocks.write": True})
    second = event(namespace, "second")
    with pytest.raises(StoreUnavailableError, match=r"403.*block"):
        store.append([second])
    client.indices.put_settings(index=stream, settings={"index.blocks.write": False})
    assert store.append([second]) == []
    assert found(store, namespace) == ["first", "second"]


def test_no_plain_index_is_created_in_place_of_a_data_stream(
    store: ElasticsearchStore, client: Elasticsearch, namespace: str
) -> None:
    stream, one = f"logs-tidegate.app-{namespace}", event(namespace)
    client.indices.put_index_template(name="foreign", index_patterns=[stream], priority=600)
    with pytest.raises(StoreUnavailableError, match="404"):
        store.append([one])
    client.indices.delete_index_template(name="foreign")
    assert store.append([one]) == []
    assert found(store, namespace) == ["hello"]


@IN_CI  # test_collector.py restarts Elasticsearch, too, and the tests above reach none
def test_a_search_survives_a_restart_of_elasticsearch(
    store: ElasticsearchStore, elasticsearch_server: ElasticsearchServer, namespace: str
) -> None:
    store.append([event(namespace, "before")])
    elasticsearch_server.stop()
    try:
        with pytest.raises(StoreUnavailableError):
            store.search(SearchRequest())
        with pytest.raises(StoreUnavailableError):
            store.append([event(namespace, "lost in transit")])
    finally:
        elasticsearch_server.start()
    # Shards come back a moment after the cluster is healthy.
    eventually(lambda: store.append([event(namespace, "after")]) == [])
    eventually(lambda: found(store, namespace) == ["before", "after"])


# One that asks for a password


@pytest.fixture
def owner(guarded_elasticsearch: Any) -> ElasticsearchSettings:
    return ElasticsearchSettings(
        url=guarded_elasticsearch.url,
        username="elastic",
        password_file=guarded_elasticsearch.folder / "password",
    )


@IN_CI
def test_a_replaced_password_is_used_without_a_restart(
    owner: ElasticsearchSettings, guarded_elasticsearch: Any, namespace: str, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text("the-first-one")
    add_user(guarded_elasticsearch, "replaced", "the-first-one", "superuser")
    settings = ElasticsearchSettings(url=owner.url, username="replaced", password_file=password)
    eventually(lambda: opens(settings))  # it reads the file of accounts every 5 s
    with closing(ElasticsearchStore(settings)) as store:
        change_users(guarded_elasticsearch, "passwd", "replaced", "-p", "the-second-one")
        eventually(lambda: not opens(settings))
        with pytest.raises(StoreUnavailableError, match="401"):
            store.append([event(namespace)])
        password.write_text("the-second-one")
        eventually(lambda: store.append([event(namespace)]) == [])
        assert found(store, namespace) == ["hello"]


def test_without_the_password_the_store_is_unavailable(
    owner: ElasticsearchSettings, tmp_path: Path
) -> None:
    with pytest.raises(StoreUnavailableError, match="401"):
        ElasticsearchStore(ElasticsearchSettings(url=owner.url))
    with pytest.raises(StoreUnavailableError, match="password_file is needed"):
        ElasticsearchStore(ElasticsearchSettings(url=owner.url, username="elastic"))
    nowhere = ElasticsearchSettings(
        url=owner.url, username="elastic", password_file=tmp_path / "nowhere"
    )
    with pytest.raises(StoreUnavailableError, match="No such file"):
        ElasticsearchStore(nowhere)


def test_a_request_that_is_too_large_is_sent_in_parts(
    owner: ElasticsearchSettings, namespace: str
) -> None:
    events = [event(namespace, f"{number} {'x' * 100_000}") for number in range(30)]
    events.insert(7, event(namespace, "y" * 1_100_000))
    with closing(ElasticsearchStore(owner)) as store:
        with pytest.raises(RequestRefusedError):
            store.append(events)
        # As the collector does.
        rejected = append_batch(store, events)
        assert [one.index for one in rejected] == [7]
        assert len(found(store, namespace)) == 30


def test_an_account_without_setup_privileges_requires_existing_templates(
    owner: ElasticsearchSettings,
    guarded_elasticsearch: Any,
    namespace: str,
    tmp_path: Path,
) -> None:
    ElasticsearchStore(owner).close()
    role = {
        "cluster": ["monitor"],
        "indices": [{"names": ["*-tidegate.*-*"], "privileges": ["create_doc", "auto_configure"]}],
    }
    add_roles(guarded_elasticsearch, f"appender: {json.dumps(role)}\n")
    (tmp_path / "password").write_text("appender-password\n")
    add_user(guarded_elasticsearch, "appender", "appender-password", "appender")
    account = ElasticsearchSettings(
        url=owner.url, username="appender", password_file=tmp_path / "password"
    )
    eventually(lambda: opens(account))  # it reads the file of accounts every 5 s
    appender = ElasticsearchStore(account)
    with closing(appender), closing(ElasticsearchStore(owner)) as reader:
        assert appender.append([event(namespace)]) == []
        assert found(reader, namespace) == ["hello"]
        with pytest.raises(StoreUnavailableError, match="403"):
            appender.search(SearchRequest())


def opens(settings: ElasticsearchSettings) -> bool:
    try:
        ElasticsearchStore(settings).close()
    except StoreUnavailableError:
        return False
    return True
