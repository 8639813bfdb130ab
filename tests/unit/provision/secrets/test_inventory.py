"""The list of secrets: sound in itself, and the same in the documents."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tidegate.provision.elasticsearch.roles import ROLES
from tidegate.provision.secrets.inventory import CONSUMERS, SECRETS, Secret, key, password
from tidegate.provision.secrets.supplied import value_problem

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "how-to" / "secrets.md").read_text(encoding="utf-8")


def test_passwords_and_keys_have_their_form_and_differ() -> None:
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9]{31}", password())
    assert re.fullmatch(r"[0-9a-f]{64}", key())
    assert len({password() for _ in range(100)} | {key() for _ in range(100)}) == 200


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: secret.name)
def test_a_value_that_is_made_could_be_given_too(secret: Secret) -> None:
    assert value_problem(secret.make(), secret) == ""


def test_every_secret_has_readers_and_every_reader_a_secret() -> None:
    read = {consumer for secret in SECRETS for consumer in secret.consumers}
    assert read == set(CONSUMERS)


def test_setup_can_read_the_password_of_each_user_that_it_makes() -> None:
    setup = {secret.name for secret in SECRETS if "setup" in secret.consumers}
    assert setup == {"elastic", "kibana_system", *(role.secret for role in ROLES)}


def test_a_folder_can_be_entered_by_those_who_may_read_its_files_and_by_nobody_else() -> None:
    modes = {
        consumer.name: (consumer.mode, consumer.folder_mode) for consumer in CONSUMERS.values()
    }
    assert modes.pop("control") == (0o440, 0o750)
    assert set(modes.values()) == {(0o400, 0o700)}


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: secret.name)
def test_the_page_of_secrets_has_a_row_for_each_with_its_readers(secret: Secret) -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{secret.name}` |")]
    for consumer in secret.consumers:
        assert f"`{consumer}`" in row
