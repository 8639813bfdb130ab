"""Roles and users in Elasticsearch: made where it keeps them itself, checked where somebody else does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from elasticsearch import AuthenticationException, Elasticsearch, NotFoundError

from tidegate.provision.elasticsearch.diff import differences, outcome
from tidegate.provision.elasticsearch.roles import ROLES, Role
from tidegate.provision.elasticsearch.server import asking, read_password
from tidegate.provision.problems import ProvisionError

KIBANA: Final = "kibana_system"
# What Elasticsearch adds to a role of its own accord.
ADDED: Final = frozenset({"run_as", "metadata", "transient_metadata"})


def make_accounts(client: Elasticsearch, folder: Path) -> Iterator[str]:
    """Make roles, users and passwords as wanted, and say in a line what was done with each.

    Args:
        client: of a user who may do so.
        folder: of the passwords.

    Raises:
        ProvisionError: a password cannot be read, or Elasticsearch refuses something.
    """
    yield _keep_password(client, folder)
    for role in ROLES:
        yield _keep_role(client, role)
        yield _keep_user(client, role, read_password(folder, role.secret))


def check_accounts(client: Elasticsearch, folder: Path) -> Iterator[str]:
    """Check that each user can log in and may do what it needs; a line for each.

    Raises:
        ProvisionError: one cannot or may not, or a password cannot be read.
    """
    for role in ROLES:
        password = read_password(folder, role.secret)
        with asking(f"user {role.name}"):
            if not may_log_in(client, role.name, password):
                raise ProvisionError(
                    f"{role.name} cannot log in with the password in {folder / role.secret}: make that"
                    " user where your users are kept, with the role that `tidegate setup roles-file` prints"
                )
            lacking = _lacking(client, role, password)
        if lacking:
            raise ProvisionError(
                f"{role.name} may not do what it needs: it lacks {'; '.join(lacking)}"
            )
        yield f"user {role.name}: as wanted"


def may_log_in(client: Elasticsearch, name: str, password: str) -> bool:
    """Whether this is the password of an enabled user."""
    try:
        client.options(basic_auth=(name, password)).security.authenticate()
    except AuthenticationException:
        return False
    return True


def _keep_password(client: Elasticsearch, folder: Path) -> str:
    password = read_password(folder, KIBANA)
    with asking(f"user {KIBANA}"):
        if may_log_in(client, KIBANA, password):
            return f"user {KIBANA}: as wanted"
        client.security.change_password(username=KIBANA, password=password)
    return f"user {KIBANA}: {outcome(['password'])}"


def _keep_role(client: Elasticsearch, role: Role) -> str:
    title, wanted = f"role {role.name}", role.body()
    with asking(title):
        try:
            there = _plain_role(client.security.get_role(name=role.name).body[role.name])
        except NotFoundError:
            there = None
        changed = [] if there is None else differences(_plain_role(wanted), there)
        if there is None or changed:
            client.security.put_role(name=role.name, **wanted)
    return f"{title}: {'created' if there is None else outcome(changed)}"


def _plain_role(body: dict[str, Any]) -> dict[str, Any]:
    """Without what Elasticsearch adds; lists of parts as parts, so that a difference can be named."""
    plain: dict[str, Any] = {name: part for name, part in body.items() if name not in ADDED}
    for name in ("indices", "applications"):
        parts = plain.get(name, [])
        plain[name] = {
            str(number): {key: item for key, item in part.items() if item is not False}
            for number, part in enumerate(parts)
        }
    return plain


def _keep_user(client: Elasticsearch, role: Role, password: str) -> str:
    title = f"user {role.name}"
    with asking(title):
        try:
            there = client.security.get_user(username=role.name).body[role.name]
        except NotFoundError:
            there = None
        changed = [] if there is None else _changes(client, role, there, password)
        if there is None or changed:
            client.security.put_user(
                username=role.name,
                password=password,
                roles=[role.name],
                full_name=role.meaning,
                enabled=True,
            )
    return f"{title}: {'created' if there is None else outcome(changed)}"


def _changes(client: Elasticsearch, role: Role, there: dict[str, Any], password: str) -> list[str]:
    changed = [] if there["roles"] == [role.name] else ["roles"]
    changed += [] if there["enabled"] else ["enabled"]
    # A user that is not enabled cannot log in either, whatever the password.
    same = not there["enabled"] or may_log_in(client, role.name, password)
    return changed if same else [*changed, "password"]


def _lacking(client: Elasticsearch, role: Role, password: str) -> list[str]:
    """What a user may not do, of what it needs: privilege and place."""
    needs = role.needs()
    answer = client.options(basic_auth=(role.name, password)).security.has_privileges(**needs).body
    lacking = [name for name, held in answer["cluster"].items() if not held]
    for place, privileges in answer["index"].items():
        missing = [name for name, held in privileges.items() if not held]
        lacking += [f"{', '.join(missing)} on {place}"] if missing else []
    return lacking
