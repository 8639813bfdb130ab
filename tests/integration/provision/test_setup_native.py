"""`tidegate setup elasticsearch`, against a real Elasticsearch that keeps roles and users itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.elasticsearch_accounts import Prepare, owner_of
from support.elasticsearch_server import ElasticsearchServer
from tidegate.provision.elasticsearch import wait
from tidegate.provision.elasticsearch.accounts import may_log_in
from tidegate.provision.elasticsearch.roles import ROLES
from tidegate.provision.elasticsearch.setup import set_up
from tidegate.provision.problems import ProvisionError
from tidegate.provision.secrets.version_stamp import write_stamp
from tidegate.settings import Settings

pytestmark = pytest.mark.integration
THINGS = [
    "user kibana_system",
    *(f"{kind} {role.name}" for role in ROLES for kind in ("role", "user")),
    "component template tidegate-settings",
    "component template tidegate-mappings",
    "index template logs-tidegate",
    "index template traces-tidegate",
]


@pytest.fixture
def settings(native_elasticsearch: ElasticsearchServer, prepare: Prepare) -> Settings:
    return prepare(native_elasticsearch)


def told(settings: Settings) -> dict[str, str]:
    """What was said of each thing."""
    lines: list[str] = []
    set_up(settings, "native", lines.append)
    return dict(line.split(": ", 1) for line in lines if ": " in line)


def changed(settings: Settings) -> dict[str, str]:
    """What was not as wanted, of accounts and templates."""
    said = told(settings)
    return {thing: said[thing] for thing in THINGS if said[thing] != "as wanted"}


def secret(settings: Settings, name: str) -> Path:
    return settings.provision.secrets_dir / name


def test_the_first_run_makes_everything_and_the_second_finds_it_as_wanted(
    settings: Settings, native_elasticsearch: ElasticsearchServer
) -> None:
    first = told(settings)
    assert {first[thing] for thing in THINGS[1:]} == {"created"}
    assert first[THINGS[0]] == "changed (password)"
    second = told(settings)
    assert {second[thing] for thing in THINGS} == {"as wanted"}
    with owner_of(native_elasticsearch) as client:
        for name, file in {"kibana_system": "kibana_system", "tidegate_viewer": "viewer"}.items():
            assert may_log_in(client, name, f"password-of-{file}")


def test_the_users_that_it_made_pass_the_check_of_given_users(settings: Settings) -> None:
    told(settings)
    lines: list[str] = []
    set_up(settings, "given", lines.append)
    assert [line for line in lines if line.startswith("user ")] == [
        f"user {role.name}: as wanted" for role in ROLES
    ]


@pytest.mark.parametrize(
    ("file", "user"), [("kibana_system", "kibana_system"), ("writer", "tidegate_writer")]
)
def test_another_value_of_a_secret_becomes_the_password(
    settings: Settings, native_elasticsearch: ElasticsearchServer, file: str, user: str
) -> None:
    told(settings)
    secret(settings, file).write_text("another-password\n")
    assert changed(settings) == {f"user {user}": "changed (password)"}
    assert changed(settings) == {}
    with owner_of(native_elasticsearch) as client:
        assert may_log_in(client, user, "another-password")
        assert not may_log_in(client, user, f"password-of-{file}")


def test_what_was_changed_by_hand_is_put_right_and_named(
    settings: Settings, native_elasticsearch: ElasticsearchServer
) -> None:
    told(settings)
    with owner_of(native_elasticsearch) as client:
        client.security.put_role(
            name="tidegate_writer",
            cluster=["all"],
            indices=[{"names": ["*"], "privileges": ["create_doc", "auto_configure"]}],
        )
        client.security.disable_user(username="tidegate_reader")
        client.security.put_user(username="tidegate_viewer", roles=["superuser"], enabled=True)
    assert changed(settings) == {
        "role tidegate_writer": "changed (cluster, indices.0.names)",
        "user tidegate_reader": "changed (enabled)",
        "user tidegate_viewer": "changed (roles)",
    }
    assert changed(settings) == {}


def test_what_was_removed_is_made_again(
    settings: Settings, native_elasticsearch: ElasticsearchServer
) -> None:
    told(settings)
    with owner_of(native_elasticsearch) as client:
        client.security.delete_user(username="tidegate_reader")
        client.security.delete_role(name="tidegate_reader")
        client.indices.delete_index_template(name="traces-tidegate")
    assert changed(settings) == {
        "role tidegate_reader": "created",
        "user tidegate_reader": "created",
        "index template traces-tidegate": "created",
    }


def test_the_bootstrap_password_is_the_one_of_the_last_start_and_a_stamp_is_no_hindrance(
    native_elasticsearch: ElasticsearchServer, prepare: Prepare
) -> None:
    """As docs/how-to/secrets.md says of `elastic`: the file rules, once the server was started with it."""
    server = native_elasticsearch
    before = told(prepare(server))
    assert before["user tidegate_writer"] in {"as wanted", "changed (password)"}
    old = (server.folder / "password").read_text().strip()
    server.stop()
    (server.folder / "password").write_text("another-bootstrap-password")
    write_stamp(server.folder / "data", "9.2.8")
    server.start()
    assert changed(prepare(server)) == {}
    with owner_of(server) as client:
        assert not may_log_in(client, "elastic", old)


def test_a_password_of_elastic_that_was_set_otherwise_is_said_in_a_sentence(
    settings: Settings,
    native_elasticsearch: ElasticsearchServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wait, "REFUSED_SECONDS", 0)
    bootstrap = secret(settings, "elastic").read_text().strip()
    with owner_of(native_elasticsearch) as client:
        client.security.change_password(username="elastic", password="set-by-somebody")
    try:
        with pytest.raises(ProvisionError, match="refuses elastic with 401: the password in"):
            set_up(settings, "native", lambda _: None)
        # As the page says: the same value by a file, and both agree again.
        secret(settings, "elastic").write_text("set-by-somebody\n")
        assert changed(settings) == {}
    finally:
        secret(settings, "elastic").write_text(bootstrap)
        with owner_of(native_elasticsearch) as client:
            client.options(basic_auth=("elastic", "set-by-somebody")).security.change_password(
                username="elastic", password=bootstrap
            )
