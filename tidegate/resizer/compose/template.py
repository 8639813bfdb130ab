"""Builds the specification of a new replica: a copy of a container that Compose created."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tidegate.resizer.compose.containers import (
    CLONE_LABEL,
    Container,
    labels_of,
    networks_of,
)
from tidegate.resizer.compose.engine import NUMBER_LABEL, Json

# The name of an anonymous volume. Compose reuses the volume when it replaces a container.
_ANONYMOUS = re.compile(r"[0-9a-f]{64}")
# The fields of an endpoint that come from the Compose file; the engine sets the others.
_CONFIGURED: Final = ("Links", "DriverOpts", "GwPriority")


@dataclass(frozen=True, slots=True)
class ReplicaSpec:
    """A container to create: its name, the body of `create`, and the networks to connect it to afterwards."""

    name: str
    body: Json
    other_networks: Sequence[tuple[str, Json]]


def choose_template(
    containers: Iterable[Container], previous: Container | None
) -> Container | None:
    """The container to copy: the newest that Compose created; a copy only if there is no other.

    The previous template counts as well, also if it has been removed.
    """
    candidates = [*containers, *([previous] if previous else [])]
    return max(candidates, key=lambda one: (not one.is_clone, one.created_at), default=None)


def scaling_obstacles(template: Container, project: str, service: str) -> list[str]:
    """The parts of the service's definition that allow only one replica; empty if there are none."""
    host = template.inspected["HostConfig"]
    found = []
    if not template.in_replacement and not re.fullmatch(
        _own_names(project, service), template.name
    ):
        found.append(f"container_name: {template.name}")
    for inside, bindings in (host.get("PortBindings") or {}).items():
        # With a range or without a port, the engine chooses a free one.
        fixed = {one["HostPort"] for one in bindings or [] if one["HostPort"].isdecimal()} - {"0"}
        found += [f"ports: host port {port} for {inside}" for port in sorted(fixed)]
    if host.get("NetworkMode") == "host":
        found.append("network_mode: host")
    for name, network in networks_of(template.inspected).items():
        config = network.get("IPAMConfig") or {}
        addresses = [config[key] for key in ("IPv4Address", "IPv6Address") if config.get(key)]
        found += [f"networks: the fixed address {address} in {name}" for address in addresses]
    return found


def replica_spec(
    template: Container, project: str, service: str, number: int, image: str | None
) -> ReplicaSpec:
    """The specification of one more replica like the template, with the next `container-number`.

    `image` is the id that the template's image name refers to now. While that is the image of the template,
    the copy refers to it by name, so that `docker ps` shows the name.
    """
    inspected = copy.deepcopy(template.inspected)
    config, host = inspected["Config"], inspected["HostConfig"]
    name = f"{project}-{service}-{number}"
    if config.get("Hostname") == template.id[:12]:  # chosen by the engine
        del config["Hostname"]
    config.pop("MacAddress", None)
    if image != inspected["Image"]:
        config["Image"] = inspected["Image"]
    config["Labels"] = {
        **labels_of(inspected),
        NUMBER_LABEL: str(number),
        CLONE_LABEL: labels_of(inspected).get(CLONE_LABEL, template.id),
    }
    _renew_anonymous_volumes(config, host)
    names = _own_names(project, service)
    endpoints = {
        network: _endpoint(endpoint, name, template.id[:12], names)
        for network, endpoint in networks_of(inspected).items()
    }
    # Before API 1.44 a container is created in one network and connected to the others.
    first = {key: value for key, value in endpoints.items() if key == host.get("NetworkMode")}
    return ReplicaSpec(
        name,
        {**config, "HostConfig": host, "NetworkingConfig": {"EndpointsConfig": first}},
        # A container in the network of another container, or in none, cannot be connected to networks.
        [item for item in endpoints.items() if item[0] not in first] if first else [],
    )


def _own_names(project: str, service: str) -> str:
    return rf"{re.escape(project)}[-_]{re.escape(service)}[-_]\d+"


def _endpoint(template: Json, name: str, short_id: str, own_names: str) -> Json:
    aliases = template.get("Aliases") or []
    others = [
        alias for alias in aliases if alias != short_id and not re.fullmatch(own_names, alias)
    ]
    configured: dict[str, Any] = {key: template[key] for key in _CONFIGURED if template.get(key)}
    return {**configured, "Aliases": [name, *others]}


def _renew_anonymous_volumes(config: Json, host: Json) -> None:
    """Give the copy anonymous volumes of its own."""
    named = []
    for bind in host.get("Binds") or []:
        source, _, rest = bind.partition(":")
        if _ANONYMOUS.fullmatch(source):
            target = rest.partition(":")[0]
            config["Volumes"] = {**(config.get("Volumes") or {}), target: {}}
        else:
            named.append(bind)
    host["Binds"] = named
    for mount in host.get("Mounts") or []:
        if mount.get("Type") == "volume" and _ANONYMOUS.fullmatch(mount.get("Source", "")):
            del mount["Source"]
