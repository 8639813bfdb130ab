"""The DNS servers of the gateway."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.stack.gateway.haproxy import GatewayError
from tidegate.stack.gateway.name_servers import name_servers

CLUSTER = """\
search models.svc.cluster.local svc.cluster.local cluster.local
nameserver 10.96.0.10
nameserver fd00::a
# nameserver 192.0.2.1
options ndots:5
"""


def test_a_given_server_is_taken_as_it_is() -> None:
    assert name_servers("127.0.0.11:53") == ["127.0.0.11:53"]


def test_the_servers_of_a_resolv_conf(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text(CLUSTER)
    assert name_servers(str(path)) == ["10.96.0.10:53", "[fd00::a]:53"]


def test_a_resolv_conf_without_a_server_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("options ndots:5\nnameserver\n")
    with pytest.raises(GatewayError, match="has no line `nameserver ADDRESS`; name a server"):
        name_servers(str(path))


def test_a_file_that_is_missing_is_reported(tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match=r"^--dns-server: .*resolv.conf does not exist$"):
        name_servers(str(tmp_path / "resolv.conf"))
