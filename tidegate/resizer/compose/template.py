"""How one more replica is made: as a copy of one that Compose made."""

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

# An anonymous volume's name. Compose hands it on when it replaces a container.
_ANONYMOUS = re.compile(r"[0-9a-f]{64}")
# Of an endpoint, what a person chose; the rest is what the engine made of it.
_CHOSEN: Final = ("Links", "DriverOpts", "GwPriority")


@dataclass(frozen=True, slots=True)
class Copy:
    """A container to make: its name, the body of `create`, and the networks to connect it to after."""

    name: str
    body: Json
    further_networks: Sequence[tuple[str, Json]]


def newest(containers: Iterable[Container], known: Container | None) -> Container | None:
    """The container to copy: the last that Compose made; a copy only if there was none such.

    Args:
        containers: those that there are.
        known: the one that was copied up to now; it may be gone.
    """
    candidates = [*containers, *([known] if known else [])]
    return max(candidates, key=lambda one: (not one.cloned, one.created_at), default=None)


def obstacles(template: Container, project: str, service: str) -> list[str]:
    """What in the service's definition forbids a second replica, in words; empty if nothing does."""
    host = template.inspected["HostConfig"]
    found = []
    if not template.in_replacement and not re.fullmatch(
        _own_names(project, service), template.name
    ):
        found.append(f"container_name: {template.name}")
    for inside, bindings in (host.get("PortBindings") or {}).items():
        # A range, or none, leaves the engine a choice.
        fixed = {one["HostPort"] for one in bindings or [] if one["HostPort"].isdecimal()} - {"0"}
        found += [f"ports: host port {port} for {inside}" for port in sorted(fixed)]
    if host.get("NetworkMode") == "host":
        found.append("network_mode: host")
    for name, network in networks_of(template.inspected).items():
        given = network.get("IPAMConfig") or {}
        addresses = [given[key] for key in ("IPv4Address", "IPv6Address") if given.get(key)]
        found += [f"networks: the fixed address {address} in {name}" for address in addresses]
    return found


def copy_of(
    template: Container, project: str, service: str, number: int, image: str | None
) -> Copy:
    """One more replica like the template.

    Args:
        template: the container to copy.
        project: its Compose project.
        service: its Compose service.
        number: the new one's `container-number`.
        image: the id of the image that has the template's image name now. As long as that is the
            template's own, the copy is made by name, so that people see the name.
    """
    inspected = copy.deepcopy(template.inspected)
    config, host = inspected["Config"], inspected["HostConfig"]
    dash = "_" if template.name.startswith(f"{project}_{service}_") else "-"
    name = dash.join((project, service, str(number)))
    if config.get("Hostname") == template.id[:12]:  # the engine's choice, not a person's
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
    # Before API 1.44 a container is made in one network and connected to the others.
    first = {key: value for key, value in endpoints.items() if key == host.get("NetworkMode")}
    return Copy(
        name,
        {**config, "HostConfig": host, "NetworkingConfig": {"EndpointsConfig": first}},
        # In the network of another container, or in none, there is nothing to connect.
        [item for item in endpoints.items() if item[0] not in first] if first else [],
    )


def _own_names(project: str, service: str) -> str:
    return rf"{re.escape(project)}[-_]{re.escape(service)}[-_]\d+"


def _endpoint(template: Json, name: str, short_id: str, own_names: str) -> Json:
    given = template.get("Aliases") or []
    others = [alias for alias in given if alias != short_id and not re.fullmatch(own_names, alias)]
    chosen: dict[str, Any] = {key: template[key] for key in _CHOSEN if template.get(key)}
    return {**chosen, "Aliases": [name, *others]}


def _renew_anonymous_volumes(config: Json, host: Json) -> None:
    """Two replicas must not share what was made for one alone."""
    kept = []
    for bind in host.get("Binds") or []:
        source, _, rest = bind.partition(":")
        if _ANONYMOUS.fullmatch(source):
            target = rest.partition(":")[0]
            config["Volumes"] = {**(config.get("Volumes") or {}), target: {}}
        else:
            kept.append(bind)
    host["Binds"] = kept
    for mount in host.get("Mounts") or []:
        if mount.get("Type") == "volume" and _ANONYMOUS.fullmatch(mount.get("Source", "")):
            del mount["Source"]
