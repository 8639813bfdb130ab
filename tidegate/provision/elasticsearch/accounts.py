"""Roles and users in Elasticsearch: created in the native realm, checked if they are managed elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from elasticsearch import AuthenticationException, Elasticsearch, NotFoundError

from tidegate.provision.elasticsearch.diff import differences, outcome
from tidegate.provision.elasticsearch.roles import ROLES, Role
from tidegate.provision.elasticsearch.server import provision_errors, read_password
from tidegate.provision.errors import ProvisionError

KIBANA_USER: Final = "kibana_system"
# Fields that Elasticsearch adds to a role.
ADDED_FIELDS: Final = frozenset({"run_as", "metadata", "transient_metadata"})


def apply_accounts(client: Elasticsearch, folder: Path) -> Iterator[str]:
    """Bring roles, users and passwords into the desired state; yields a line for each."""
    yield _apply_kibana_password(client, folder)
    for role in ROLES:
        yield _apply_role(client, role)
        yield _apply_user(client, role, read_password(folder, role.secret))


def check_accounts(client: Elasticsearch, folder: Path) -> Iterator[str]:
    """Check that each user can log in and has the privileges that it needs; yields a line for each."""
    for role in ROLES:
        password = read_password(folder, role.secret)
        with provision_errors(f"user {role.name}"):
            if not can_log_in(client, role.name, password):
                raise ProvisionError(
                    f"{role.name} cannot log in with the password in {folder / role.secret}: create"
                    " this user in your realm, with the role that `tidegate setup roles-file` prints"
                )
            missing = _missing_privileges(client, role, password)
        if missing:
            raise ProvisionError(f"{role.name} lacks privileges: {'; '.join(missing)}")
        yield f"user {role.name}: unchanged"


def can_log_in(client: Elasticsearch, name: str, password: str) -> bool:
    """Whether the user is enabled and has this password."""
    try:
        client.options(basic_auth=(name, password)).security.authenticate()
    except AuthenticationException:
        return False
    return True


def _apply_kibana_password(client: Elasticsearch, folder: Path) -> str:
    password = read_password(folder, KIBANA_USER)
    with provision_errors(f"user {KIBANA_USER}"):
        if can_log_in(client, KIBANA_USER, password):
            return f"user {KIBANA_USER}: unchanged"
        client.security.change_password(username=KIBANA_USER, password=password)
    return f"user {KIBANA_USER}: {outcome(['password'])}"


def _apply_role(client: Elasticsearch, role: Role) -> str:
    title, desired = f"role {role.name}", role.body()
    with provision_errors(title):
        try:
            present = _normalized_role(client.security.get_role(name=role.name).body[role.name])
        except NotFoundError:
            present = None
        changed = [] if present is None else differences(_normalized_role(desired), present)
        if present is None or changed:
            client.security.put_role(name=role.name, **desired)
    return f"{title}: {'created' if present is None else outcome(changed)}"


def _normalized_role(body: dict[str, Any]) -> dict[str, Any]:
    """A role without added fields, with lists as mappings, so that each difference has a name."""
    normalized: dict[str, Any] = {
        name: part for name, part in body.items() if name not in ADDED_FIELDS
    }
    for name in ("indices", "applications"):
        parts = normalized.get(name, [])
        normalized[name] = {
            str(number): {key: item for key, item in part.items() if item is not False}
            for number, part in enumerate(parts)
        }
    return normalized


def _apply_user(client: Elasticsearch, role: Role, password: str) -> str:
    title = f"user {role.name}"
    with provision_errors(title):
        try:
            present = client.security.get_user(username=role.name).body[role.name]
        except NotFoundError:
            present = None
        changed = [] if present is None else _changes(client, role, present, password)
        if present is None or changed:
            client.security.put_user(
                username=role.name,
                password=password,
                roles=[role.name],
                full_name=role.description,
                enabled=True,
            )
    return f"{title}: {'created' if present is None else outcome(changed)}"


def _changes(
    client: Elasticsearch, role: Role, present: dict[str, Any], password: str
) -> list[str]:
    changed = [] if present["roles"] == [role.name] else ["roles"]
    changed += [] if present["enabled"] else ["enabled"]
    # A disabled user cannot log in, so its password cannot be checked.
    unchanged = not present["enabled"] or can_log_in(client, role.name, password)
    return changed if unchanged else [*changed, "password"]


def _missing_privileges(client: Elasticsearch, role: Role, password: str) -> list[str]:
    """The privileges that a user needs and lacks, with the indices."""
    needs = role.needs()
    granted = client.options(basic_auth=(role.name, password)).security.has_privileges(**needs).body
    missing = [name for name, allowed in granted["cluster"].items() if not allowed]
    for indices, privileges in granted["index"].items():
        names = [name for name, allowed in privileges.items() if not allowed]
        missing += [f"{', '.join(names)} on {indices}"] if names else []
    return missing
