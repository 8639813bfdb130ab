"""HAProxy's configuration."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tidegate.settings import Settings
from tidegate.stack.gateway import configuration, haproxy

ROOT = Path(__file__).parents[4]
# HAProxy with its connections, and the program that writes the access events (docs/explanation/gateway.md).
PROGRAMS_MIB = 80


@given(st.text(st.characters(min_codepoint=32, exclude_characters="\x7f")))
def test_a_quoted_word_parses_back_to_the_same_text(text: str) -> None:
    # HAProxy's double quotes work like those of the shell, without the backquote.
    assert shlex.split(configuration.quoted(text).replace("\\$", "$")) == [text]


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "\x00", "\x7f"])
def test_a_control_character_is_rejected(text: str) -> None:
    with pytest.raises(haproxy.GatewayError, match="control character"):
        configuration.quoted(text)


def written(folder: Path, **sections: Any) -> str:
    """The configuration for these settings and a replica, which HAProxy accepts."""
    settings = Settings.model_validate(sections)
    config = configuration.write_config(settings, folder / "made", ["127.0.0.1:18001"])
    asyncio.run(haproxy.check(config))
    return config.read_text()


def with_dns(folder: Path, name: str = "model:8000", host: str = "", **options: Any) -> str:
    """The configuration for replicas that have this name, which HAProxy accepts."""
    settings = Settings.model_validate({"stack": {"host": host}} if host else {})
    config = folder / "haproxy.cfg"
    config.write_text(configuration.render_config(settings, dns_name=name, **options))
    asyncio.run(haproxy.check(config))
    return config.read_text()


def test_the_settings_are_in_the_configuration(tmp_path: Path) -> None:
    gateway = {"queue_seconds": 0.001, "queue_length": 11, "response_seconds": 2.5}
    text = written(
        tmp_path,
        gateway={**gateway, "request_bytes": 20_000},
        slots={"per_replica": 7},
        stack={"host": "0.0.0.0"},
        telemetry={"quiet_paths": ['/a "quoted" $path']},
    )
    for line in (
        "timeout queue 1ms",
        "timeout server 2500ms",
        "{ queue ge 11 }",
        "default-server maxconn 7 ",
        'bind "0.0.0.0:8000"',
        'bind "127.0.0.1:8405"',
        '{ path "/a \\"quoted\\" \\$path" }',
        'server model1 "127.0.0.1:18001"',
    ):
        assert line in text
    assert "dns" not in text


def test_the_queue_is_full_before_the_connections_are() -> None:
    # 2,000 was the default once, so settings files have it.
    settings = Settings.model_validate({"gateway": {"queue_length": 2000}})
    assert "{ queue ge 1500 }" in configuration.render_config(settings, dns_name="model:8000")
    default = Settings().gateway
    assert default.connections_per_source > default.queue_length


def test_connections_are_limited_for_clients_for_each_source_and_for_the_exporter(
    tmp_path: Path,
) -> None:
    unlimited = ["10.0.0.8", "fd00::/8"]
    text = written(tmp_path, gateway={"connections_per_source": 70, "unlimited_sources": unlimited})
    for line in (
        "maxconn 2036\n",  # the sum of all frontends
        "maxconn 2000\n",
        "maxconn 32\n",
        "track-sc1 src unless { src 10.0.0.8/32 fd00::/8 }\n",
        "reject if { sc1_conn_cur gt 70 }\n",
    ):
        assert line in text
    assert "track-sc1 src\n" in written(tmp_path, gateway={"unlimited_sources": []})


@pytest.mark.parametrize(
    ("request_bytes", "classes"),
    [
        (16_384, []),
        (16_385, [16_385]),
        (65_536, [32_768, 65_536]),
        (100_000, [32_768, 65_536, 100_000]),
    ],
)
def test_a_body_counts_as_the_largest_of_its_class(
    request_bytes: int, classes: list[int], tmp_path: Path
) -> None:
    assert configuration.body_classes(request_bytes) == classes
    written(tmp_path, gateway={"request_bytes": request_bytes})


def test_a_queue_smaller_than_one_full_body_is_rejected() -> None:
    with pytest.raises(ValidationError, match="queue_bytes is 20000, less than one body"):
        Settings.model_validate({"gateway": {"request_bytes": 30_000, "queue_bytes": 20_000}})


def test_in_compose_the_buffers_of_all_connections_fit_into_the_memory_limit() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    limit = int(services["gateway"]["mem_limit"].removesuffix("m"))
    assert configuration.memory_bytes(Settings()) / 2**20 + PROGRAMS_MIB <= limit


def test_in_compose_the_replicas_are_resolved_by_dns(tmp_path: Path) -> None:
    text = with_dns(tmp_path)
    for line in (
        'bind "0.0.0.0:8000"',
        'bind "0.0.0.0:8405"',
        'nameserver dns1 "127.0.0.11:53"',
        "accepted_payload_size 8192",
        'server-template model 32 "model:8000" resolvers names',
    ):
        assert line in text
    assert "server-state-file" not in text


def test_with_ipv6_the_gateway_listens_there_and_prefers_such_addresses(tmp_path: Path) -> None:
    text = with_dns(tmp_path, host="::")
    for line in ('bind "[::]:8000"', 'bind "[::]:8405"', "resolve-prefer ipv6"):
        assert line in text


def test_with_a_minimum_of_zero_the_gateway_answers_health_probes_itself(tmp_path: Path) -> None:
    text = written(tmp_path, replicas={"min": 0, "start": 0})
    assert "http-request return status 200 content-type application/json string" in text
    assert "{ lua.replicas_up eq 0 }" not in text


def test_readiness_and_retries_are_those_of_an_application_of_ones_own(tmp_path: Path) -> None:
    gateway = {"idempotent_paths": ["/quote", "/items/"]}
    text = written(tmp_path, gateway=gateway, replicas={"ready_path": "/healthz"})
    assert "http-check send meth GET uri /healthz ver HTTP/1.1" in text
    assert (
        'http-request disable-l7-retry unless METH_GET or { var(txn.route) -m str "/quote" } '
        'or { var(txn.route) -m beg "/items/" }\n'
    ) in text


COMMAND = {"command": ["serve", "{port}"]}


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({}, True),
        ({"service": {"app": "shop:app"}}, True),
        ({"replicas": COMMAND}, False),
        ({"replicas": COMMAND, "gateway": {"keep_alive": True}}, True),
        ({"gateway": {"keep_alive": False}}, False),
    ],
)
def test_connections_to_an_unknown_server_are_not_kept_unless_a_setting_says_so(
    settings: dict[str, Any], kept: bool, tmp_path: Path
) -> None:
    assert ("option http-server-close" not in written(tmp_path, **settings)) == kept
