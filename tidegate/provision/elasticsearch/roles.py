"""Who may do what in Elasticsearch: one table, for the native realm, the file realm and the checks alike.

The privileges are the least with which each account can do its work:

- The writer appends with `create`, so that an event delivered twice is stored once, and its first event
  of a dataset makes the data stream. It can read nothing, and change or delete nothing.
- The reader answers Grafana, the exporter and the watcher of labels: it searches, reads mappings and
  statistics, and counts what ended in a failure store.
- The viewer is a person in Kibana who looks at Discover, dashboards and their panels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import yaml

from tidegate.store.elasticsearch.templates import STREAMS

READ: Final = ("read", "view_index_metadata", "read_failure_store")


@dataclass(frozen=True, slots=True)
class Role:
    """A role, and the one user of the same name that has it.

    Attributes:
        name: of the role and of its user.
        secret: the name of the user's password among the secrets.
        cluster: privileges on the cluster.
        streams: privileges on our data streams.
        kibana: privileges in Kibana, in all of its spaces.
        meaning: who it is for, in words.
    """

    name: str
    secret: str
    cluster: tuple[str, ...]
    streams: tuple[str, ...]
    meaning: str
    kibana: tuple[str, ...] = ()

    def body(self) -> dict[str, Any]:
        """As Elasticsearch's role API and its roles.yml take it."""
        body: dict[str, Any] = {
            "cluster": list(self.cluster),
            "indices": [{"names": list(STREAMS.values()), "privileges": list(self.streams)}],
        }
        if self.kibana:
            body["applications"] = [
                {
                    "application": "kibana-.kibana",
                    "privileges": list(self.kibana),
                    "resources": ["*"],
                }
            ]
        return body

    def needs(self) -> dict[str, Any]:
        """The same as a question: the body of `_security/user/_has_privileges`.

        Kibana's own privileges are left out: until it has started for the first time, nobody has any.
        """
        body = self.body()
        return {"cluster": body["cluster"], "index": body["indices"]}


ROLES: Final = (
    Role(
        "tidegate_writer",
        "writer",
        ("monitor",),
        ("create_doc", "auto_configure"),
        "appends events",
    ),
    Role(
        "tidegate_reader",
        "reader",
        ("monitor",),
        ("monitor", *READ),
        "reads events for Grafana, the exporter and the watcher",
    ),
    Role(
        "tidegate_viewer",
        "viewer",
        (),
        READ,
        "a person who looks at events in Kibana",
        # Lens panels and saved searches open in Visualize and Discover.
        kibana=(
            "feature_discover_v2.read",
            "feature_dashboard_v2.read",
            "feature_visualize_v2.read",
        ),
    ),
)


def roles_yaml() -> str:
    """The table as a `roles.yml`, for an Elasticsearch whose users are kept in files."""
    bodies = {role.name: role.body() for role in ROLES}
    return yaml.safe_dump(bodies, sort_keys=False, default_flow_style=None)
