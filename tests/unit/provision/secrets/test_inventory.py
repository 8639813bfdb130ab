"""The list of secrets is consistent, and the documentation has the same list."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tidegate.provision.elasticsearch.roles import ROLES
from tidegate.provision.secrets.init import value_problem
from tidegate.provision.secrets.inventory import CONSUMERS, SECRETS, Secret, key, password

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "how-to" / "secrets.md").read_text(encoding="utf-8")


def test_passwords_and_keys_have_their_format_and_are_unique() -> None:
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9]{31}", password())
    assert re.fullmatch(r"[0-9a-f]{64}", key())
    assert len({password() for _ in range(100)} | {key() for _ in range(100)}) == 200


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: secret.name)
def test_a_generated_value_is_valid_as_a_supplied_value(secret: Secret) -> None:
    assert value_problem(secret.generate(), secret) == ""


def test_every_secret_has_consumers_and_every_consumer_a_secret() -> None:
    read = {consumer for secret in SECRETS for consumer in secret.consumers}
    assert read == set(CONSUMERS)


def test_setup_can_read_the_password_of_each_user_that_it_creates() -> None:
    setup = {secret.name for secret in SECRETS if "setup" in secret.consumers}
    assert setup == {"elastic", "kibana_system", *(role.secret for role in ROLES)}


def test_the_mode_of_a_folder_grants_access_to_the_readers_of_its_files_only() -> None:
    modes = {
        consumer.name: (consumer.mode, consumer.folder_mode) for consumer in CONSUMERS.values()
    }
    assert modes.pop("control") == (0o440, 0o750)
    assert set(modes.values()) == {(0o400, 0o700)}


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: secret.name)
def test_the_documentation_has_a_row_for_each_secret_with_its_consumers(secret: Secret) -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{secret.name}` |")]
    for consumer in secret.consumers:
        assert f"`{consumer}`" in row
