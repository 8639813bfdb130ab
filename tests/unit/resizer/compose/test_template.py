"""What a copy shares with its template, and which definitions allow one replica only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tidegate.resizer.compose.containers import CLONE_LABEL, Container
from tidegate.resizer.compose.template import (
    ReplicaSpec,
    choose_template,
    replica_spec,
    scaling_obstacles,
)

Make = Callable[..., Container]
FIXED = {"IPv4Address": "10.0.0.5"}
CLONE = {"labels": {CLONE_LABEL: "f" * 64}}


def test_the_newest_container_of_compose_is_the_template(container: Make) -> None:
    first, second = container(1, created=1.0), container(2, created=2.0)
    copy = container(3, created=3.0, **CLONE)
    assert choose_template([first, second, copy], None) == second
    assert choose_template([copy], first) == first
    assert choose_template([copy], None) == copy
    assert choose_template([], None) is None


def copy(template: Container, number: int = 2, image: str | None = None) -> ReplicaSpec:
    return replica_spec(template, "shop", "model", number, image)


def test_a_copy_has_its_own_name_number_and_hostname(container: Make) -> None:
    made = copy(container(1), 4, "sha256:1")
    labels = {
        "com.docker.compose.container-number": "4",
        "com.docker.compose.config-hash": "a",
        CLONE_LABEL: container(1).id,
    }
    assert (made.name, made.body["Image"]) == ("shop-model-4", "shop:1")
    assert labels.items() <= made.body["Labels"].items()
    assert "Hostname" not in made.body
    # A copy of a copy names the first template.
    assert copy(container(2, **CLONE)).body["Labels"][CLONE_LABEL] == "f" * 64
    # The name refers to another image now.
    assert copy(container(1), image="sha256:2").body["Image"] == "sha256:1"


def test_a_configured_hostname_is_copied(container: Make) -> None:
    template = container(1)
    template.inspected["Config"] = {"Hostname": "shop", "Image": "shop:1", "Labels": {}}
    assert copy(template).body["Hostname"] == "shop"


def test_a_copy_is_created_in_one_network_and_connected_to_the_others(container: Make) -> None:
    networks = {
        "shop_back": {
            "NetworkID": "back",
            "IPAddress": "10.1.0.9",
            "MacAddress": "02:42",
            "Aliases": ["shop-model-1", "model", f"{1:064x}"[:12], "ml"],
            "DriverOpts": {"a": "b"},
        },
        "shop_front": {"NetworkID": "front", "IPAddress": "10.0.0.9"},
    }
    made = copy(container(1, networks=networks))
    endpoints = {"shop_front": {"Aliases": ["shop-model-2"]}}
    assert made.body["NetworkingConfig"] == {"EndpointsConfig": endpoints}
    assert list(made.other_networks) == [
        ("shop_back", {"Aliases": ["shop-model-2", "model", "ml"], "DriverOpts": {"a": "b"}})
    ]
    # In the network of another container it has none of its own.
    made = copy(container(1, host={"NetworkMode": "container:abc"}, networks=None))
    assert made.body["NetworkingConfig"] == {"EndpointsConfig": {}}
    assert made.other_networks == []


def test_anonymous_volumes_are_not_shared(container: Make) -> None:
    anonymous = "0123456789abcdef" * 4
    host = {
        "NetworkMode": "shop_front",
        "Binds": ["/srv:/srv:ro", "named:/named:rw", f"{anonymous}:/own:rw"],
        "Mounts": [
            {"Type": "volume", "Source": anonymous, "Target": "/own2"},
            {"Type": "volume", "Source": "named", "Target": "/named2"},
            {"Type": "tmpfs", "Target": "/run"},
        ],
    }
    template = container(1, host=host)
    body = copy(template).body
    assert body["Volumes"] == {"/own": {}}
    assert body["HostConfig"]["Binds"] == ["/srv:/srv:ro", "named:/named:rw"]
    assert [one.get("Source") for one in body["HostConfig"]["Mounts"]] == [None, "named", None]
    assert template.inspected["HostConfig"]["Mounts"][0]["Source"] == anonymous


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"name": "shop_model_1"}, []),
        ({"name": "0123456789ab_shop-model-1"}, []),
        ({"name": "the-model"}, ["container_name: the-model"]),
        (
            {"host": {"PortBindings": {"8000/tcp": [{"HostPort": "8000"}, {"HostPort": "8000"}]}}},
            ["ports: host port 8000 for 8000/tcp"],
        ),
        ({"host": {"PortBindings": {"8000/tcp": [{"HostPort": "8000-8009"}]}}}, []),
        ({"host": {"PortBindings": {"8000/tcp": [{"HostPort": ""}, {"HostPort": "0"}]}}}, []),
        ({"host": {"PortBindings": {"8000/tcp": None}}}, []),
        ({"host": {"NetworkMode": "host"}}, ["network_mode: host"]),
        (
            {"networks": {"shop_front": {"NetworkID": "front", "IPAMConfig": FIXED}}},
            ["networks: the fixed address 10.0.0.5 in shop_front"],
        ),
    ],
)
def test_parts_of_a_definition_that_allow_one_replica_only(
    container: Make, changes: dict[str, Any], expected: list[str]
) -> None:
    assert scaling_obstacles(container(1, **changes), "shop", "model") == expected
