"""The secrets of the Compose stack and their consumers.

This is the only list of secrets: `tidegate secrets init` creates them from it, a test compares
docs/how-to/secrets.md with it, and nothing else in the stack generates a password.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

APPLICATION_UID: Final = 10001
"""The user and group of Tidegate's own containers."""
ALPHABET: Final = string.ascii_letters + string.digits
# Elasticsearch hashes passwords with bcrypt, which ignores further bytes.
MAX_PASSWORD_BYTES: Final = 72


def password() -> str:
    """32 letters and digits (190 bits): safe in a URL, a YAML file and a shell.

    The first is a letter, so that no parser reads it as a number or an option.
    """
    return secrets.choice(string.ascii_letters) + "".join(
        secrets.choice(ALPHABET) for _ in range(31)
    )


def key() -> str:
    """256 bits as 64 hexadecimal digits."""
    return secrets.token_hex(32)


@dataclass(frozen=True, slots=True)
class Consumer:
    """A service that reads the folder of its name; its user and group own the files, which have this mode."""

    name: str
    uid: int
    gid: int = 0
    mode: int = 0o400

    @property
    def folder_mode(self) -> int:
        """Grants access to the folder to those that may read its files; services mount it read-only."""
        return self.mode | (self.mode >> 2) | 0o200


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret, a file of its name in the folder of each consumer.

    `rotation_note` says what to do after a change of its value; lengths are of a supplied one, in characters.
    """

    name: str
    consumers: tuple[str, ...]
    description: str
    rotation_note: str
    generate: Callable[[], str] = password
    min_length: int = 12
    max_length: int = MAX_PASSWORD_BYTES


CONSUMERS: Final = {
    consumer.name: consumer
    for consumer in (
        Consumer("elasticsearch", 1000),
        Consumer("kibana", 1000),
        Consumer("logstash", 1000),
        Consumer("grafana", 472),
        Consumer("setup", APPLICATION_UID),
        Consumer("collector", APPLICATION_UID),
        Consumer("exporter", APPLICATION_UID),
        Consumer("console", APPLICATION_UID),
        Consumer("verify", APPLICATION_UID),
        Consumer("model", APPLICATION_UID),
        # Read by the autoscaler (as APPLICATION_UID) and by the resizer: root without capabilities, which
        # needs read permission as owner or group.
        Consumer("control", APPLICATION_UID, 0, 0o440),
    )
}

_BY_SETUP: Final = "the next start sets it in Elasticsearch; restart its consumers"
SECRETS: Final = (
    Secret(
        "elastic",
        ("elasticsearch", "setup"),
        "superuser of Elasticsearch; administrator login in Kibana",
        "recreate the container of Elasticsearch: `docker compose up -d --force-recreate elasticsearch`",
    ),
    Secret(
        "kibana_system", ("kibana", "setup"), "Kibana's own account in Elasticsearch", _BY_SETUP
    ),
    Secret("writer", ("logstash", "setup"), "user tidegate_writer", _BY_SETUP),
    Secret(
        "reader",
        ("grafana", "exporter", "console", "verify", "setup"),
        "user tidegate_reader",
        _BY_SETUP,
    ),
    Secret("viewer", ("verify", "setup"), "user tidegate_viewer; login in Kibana", _BY_SETUP),
    Secret(
        "collector",
        ("collector", "logstash"),
        "user collector of Logstash's http input",
        "restart Logstash; the collector reads its file again",
    ),
    Secret(
        "grafana_admin",
        ("grafana", "verify"),
        "user admin of Grafana",
        "Grafana reads it only at its first start: afterwards change it in Grafana too",
    ),
    Secret(
        "console",
        ("console",),
        "login in the console, with any user name",
        "nothing else: the console reads it again",
    ),
    Secret(
        "kibana_encryption_key",
        ("kibana",),
        "encrypts credentials that Kibana stores",
        "credentials that Kibana stored with the old key (rules, connectors) become unreadable",
        key,
        32,
        256,
    ),
    Secret(
        "resizer_token",
        ("control",),
        "authenticates the autoscaler to the resizer",
        "nothing else: the autoscaler and the resizer read it again",
        key,
        32,
        256,
    ),
    Secret(
        "prediction_key",
        ("model",),
        "signs prediction ids, so that feedback can be verified",
        "feedback about earlier predictions is refused",
        key,
        32,
        256,
    ),
)
