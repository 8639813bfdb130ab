"""The secrets of the Compose stack: which there are, who reads each, and as whom.

This is the only list of them. `tidegate secrets init` makes what it names, docs/how-to/secrets.md is held
to it by a test, and nothing else in the stack invents a password.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

OURS: Final = 10001
ALPHABET: Final = string.ascii_letters + string.digits
# Elasticsearch hashes passwords by bcrypt, which looks at no more than this many bytes.
PASSWORD_MOST: Final = 72


def password() -> str:
    """32 letters and digits (190 bits): safe in a URL, a YAML file and a shell.

    The first is a letter, so that nothing takes it for a number or an option.
    """
    return secrets.choice(string.ascii_letters) + "".join(
        secrets.choice(ALPHABET) for _ in range(31)
    )


def key() -> str:
    """256 bits as 64 hexadecimal digits."""
    return secrets.token_hex(32)


@dataclass(frozen=True, slots=True)
class Consumer:
    """Who reads a folder of secrets: a service's user, to whom its files belong.

    Attributes:
        name: of the folder, as of the service.
        uid: its user.
        gid: its group.
        mode: of each file.
    """

    name: str
    uid: int
    gid: int = 0
    mode: int = 0o400

    @property
    def folder_mode(self) -> int:
        """Whoever may read the files may enter the folder; each mounts it read-only."""
        return self.mode | (self.mode >> 2) | 0o200


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret.

    Attributes:
        name: of its file, in each consumer's folder.
        consumers: the names of those that read it.
        make: makes a new value.
        least: shortest value that may be given, in characters.
        most: longest.
        meaning: what it is for.
        when_changed: what a person must know who gives another value later.
    """

    name: str
    consumers: tuple[str, ...]
    meaning: str
    when_changed: str
    make: Callable[[], str] = password
    least: int = 12
    most: int = PASSWORD_MOST


CONSUMERS: Final = {
    consumer.name: consumer
    for consumer in (
        Consumer("elasticsearch", 1000),
        Consumer("kibana", 1000),
        Consumer("logstash", 1000),
        Consumer("grafana", 472),
        Consumer("setup", OURS),
        Consumer("collector", OURS),
        Consumer("exporter", OURS),
        Consumer("verify", OURS),
        Consumer("model", OURS),
        # Read by the autoscaler (our user) and by the resizer: root without capabilities, which may read
        # only what its user or its group may.
        Consumer("control", OURS, 0, 0o440),
    )
}

_BY_SETUP: Final = "the next start sets it in Elasticsearch; restart its readers"
SECRETS: Final = (
    Secret(
        "elastic",
        ("elasticsearch", "setup"),
        "superuser of Elasticsearch; log in to Kibana with it to administer",
        "make Elasticsearch's container anew: `docker compose up -d --force-recreate elasticsearch`",
    ),
    Secret(
        "kibana_system", ("kibana", "setup"), "Kibana's own account in Elasticsearch", _BY_SETUP
    ),
    Secret("writer", ("logstash", "setup"), "user tidegate_writer", _BY_SETUP),
    Secret("reader", ("grafana", "exporter", "verify", "setup"), "user tidegate_reader", _BY_SETUP),
    Secret(
        "viewer", ("verify", "setup"), "user tidegate_viewer; log in to Kibana with it", _BY_SETUP
    ),
    Secret(
        "collector",
        ("collector", "logstash"),
        "user collector of Logstash's http input",
        "restart both of its readers together",
    ),
    Secret(
        "grafana_admin",
        ("grafana", "verify"),
        "user admin of Grafana",
        "Grafana takes it at its first start only: afterwards change it there, too",
    ),
    Secret(
        "kibana_encryption_key",
        ("kibana",),
        "encrypts credentials that Kibana keeps",
        "credentials that Kibana kept with the old one (rules, connectors) cannot be read any more",
        key,
        32,
        256,
    ),
    Secret(
        "resizer_token",
        ("control",),
        "lets the autoscaler ask the resizer",
        "restart the autoscaler and the resizer together",
        key,
        32,
        256,
    ),
    Secret(
        "prediction_key",
        ("model",),
        "signs prediction ids, so that feedback about them can be trusted",
        "feedback about predictions made before is refused",
        key,
        32,
        256,
    ),
)
