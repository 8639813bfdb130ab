"""`tidegate setup elasticsearch`, against a real Elasticsearch with a native realm."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.components import IN_CI
from support.processes.elasticsearch_server import ElasticsearchServer
from support.samples.elasticsearch_accounts import Prepare, superuser_client
from tidegate.provision.elasticsearch import setup
from tidegate.provision.elasticsearch.accounts import can_log_in
from tidegate.provision.elasticsearch.roles import ROLES
from tidegate.provision.elasticsearch.setup import set_up
from tidegate.provision.errors import ProvisionError
from tidegate.provision.secrets.version_stamp import write_stamp
from tidegate.settings import Settings

pytestmark = [pytest.mark.integration, pytest.mark.in_order, IN_CI]
ITEMS = [
    "user kibana_system",
    *(f"{kind} {role.name}" for role in ROLES for kind in ("role", "user")),
    "component template tidegate-settings",
    "component template tidegate-mappings",
    "index template logs-tidegate",
    "index template traces-tidegate",
]


@pytest.fixture
def settings(native_realm_elasticsearch: ElasticsearchServer, prepare: Prepare) -> Settings:
    return prepare(native_realm_elasticsearch)


def run(settings: Settings) -> dict[str, str]:
    """Run the set-up; returns the outcome of each item."""
    lines: list[str] = []
    set_up(settings, "native", lines.append)
    return dict(line.split(": ", 1) for line in lines if ": " in line)


def changed(settings: Settings) -> dict[str, str]:
    """Run the set-up; returns the outcome of changed accounts and templates."""
    outcomes = run(settings)
    return {item: outcomes[item] for item in ITEMS if outcomes[item] != "unchanged"}


def secret(settings: Settings, name: str) -> Path:
    return settings.provision.secrets_dir / name


def test_the_first_run_creates_everything_and_the_second_changes_nothing(
    settings: Settings, native_realm_elasticsearch: ElasticsearchServer
) -> None:
    first = run(settings)
    assert {first[item] for item in ITEMS[1:]} == {"created"}
    assert first[ITEMS[0]] == "changed (password)"
    second = run(settings)
    assert {second[item] for item in ITEMS} == {"unchanged"}
    with superuser_client(native_realm_elasticsearch) as client:
        for name, file in {"kibana_system": "kibana_system", "tidegate_viewer": "viewer"}.items():
            assert can_log_in(client, name, f"password-of-{file}")


def test_the_created_users_pass_the_check_of_given_users(settings: Settings) -> None:
    run(settings)
    lines: list[str] = []
    set_up(settings, "given", lines.append)
    assert [line for line in lines if line.startswith("user ")] == [
        f"user {role.name}: unchanged" for role in ROLES
    ]


@pytest.mark.parametrize(
    ("file", "user"), [("kibana_system", "kibana_system"), ("writer", "tidegate_writer")]
)
def test_a_changed_secret_changes_the_password(
    settings: Settings, native_realm_elasticsearch: ElasticsearchServer, file: str, user: str
) -> None:
    run(settings)
    secret(settings, file).write_text("another-password\n")
    assert changed(settings) == {f"user {user}": "changed (password)"}
    assert changed(settings) == {}
    with superuser_client(native_realm_elasticsearch) as client:
        assert can_log_in(client, user, "another-password")
        assert not can_log_in(client, user, f"password-of-{file}")


def test_manual_changes_are_reverted_and_reported(
    settings: Settings, native_realm_elasticsearch: ElasticsearchServer
) -> None:
    run(settings)
    with superuser_client(native_realm_elasticsearch) as client:
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


def test_removed_items_are_recreated(
    settings: Settings, native_realm_elasticsearch: ElasticsearchServer
) -> None:
    run(settings)
    with superuser_client(native_realm_elasticsearch) as client:
        client.security.delete_user(username="tidegate_reader")
        client.security.delete_role(name="tidegate_reader")
        client.indices.delete_index_template(name="traces-tidegate")
    assert changed(settings) == {
        "role tidegate_reader": "created",
        "user tidegate_reader": "created",
        "index template traces-tidegate": "created",
    }


def test_the_bootstrap_password_of_the_last_start_is_valid_and_a_stamp_does_not_prevent_the_start(
    native_realm_elasticsearch: ElasticsearchServer, prepare: Prepare
) -> None:
    """docs/how-to/secrets.md describes this for `elastic`: the file applies after the next start."""
    server = native_realm_elasticsearch
    before = run(prepare(server))
    assert before["user tidegate_writer"] in {"unchanged", "changed (password)"}
    old = (server.folder / "password").read_text().strip()
    server.stop()
    (server.folder / "password").write_text("another-bootstrap-password")
    write_stamp(server.folder / "data", "9.2.8")
    server.start()
    assert changed(prepare(server)) == {}
    with superuser_client(server) as client:
        assert not can_log_in(client, "elastic", old)


def test_a_password_of_elastic_that_was_changed_manually_is_reported(
    settings: Settings,
    native_realm_elasticsearch: ElasticsearchServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(setup, "REFUSED_TIMEOUT_SECONDS", 0)
    bootstrap = secret(settings, "elastic").read_text().strip()
    with superuser_client(native_realm_elasticsearch) as client:
        client.security.change_password(username="elastic", password="set-by-somebody")
    try:
        with pytest.raises(ProvisionError, match="refuses elastic with 401: the password in"):
            set_up(settings, "native", lambda _: None)
        # As documented: the same value in the file resolves the problem.
        secret(settings, "elastic").write_text("set-by-somebody\n")
        assert changed(settings) == {}
    finally:
        secret(settings, "elastic").write_text(bootstrap)
        with superuser_client(native_realm_elasticsearch) as client:
            client.options(basic_auth=("elastic", "set-by-somebody")).security.change_password(
                username="elastic", password=bootstrap
            )
