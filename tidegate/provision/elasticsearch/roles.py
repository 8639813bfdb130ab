"""The roles in Elasticsearch: one table for the native realm, the file realm and the checks.

Each role has the least privileges that its account needs:

- The writer appends with `create`, so that an event delivered twice is stored once; the first event of a
  dataset creates its data stream. It cannot read, change or delete events.
- The reader serves Grafana, the exporter and the drift watcher: it searches, reads mappings and statistics,
  and counts the documents in failure stores.
- The viewer is a person in Kibana who uses Discover and dashboards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import yaml

from tidegate.store.elasticsearch.templates import STREAMS

READ: Final = ("read", "view_index_metadata", "read_failure_store")


@dataclass(frozen=True, slots=True)
class Role:
    """A role and the user of the same name that has it; `secret` names its password.

    The privileges are those on the cluster, on Tidegate's data streams and in all spaces of Kibana.
    """

    name: str
    secret: str
    cluster: tuple[str, ...]
    streams: tuple[str, ...]
    description: str
    kibana: tuple[str, ...] = ()

    def body(self) -> dict[str, Any]:
        """The role in the format of the role API and of roles.yml."""
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
        """The body of `_security/user/_has_privileges` for this role.

        Kibana's privileges are left out: they do not exist before its first start.
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
        "a person who views events in Kibana",
        # Lens panels and saved searches open in Visualize and Discover.
        kibana=(
            "feature_discover_v2.read",
            "feature_dashboard_v2.read",
            "feature_visualize_v2.read",
        ),
    ),
)


def roles_yaml() -> str:
    """The roles in the format of `roles.yml`, for an Elasticsearch with a file realm."""
    bodies = {role.name: role.body() for role in ROLES}
    return yaml.safe_dump(bodies, sort_keys=False, default_flow_style=None)
