"""The ports of the stack, and the messages about ports that are not available."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from support.ports import free_port, free_ports
from tidegate.checks.ports import RequiredPort, beside, port_problems, required_ports
from tidegate.settings import load
from tidegate.terminal.down_command import down
from tidegate.terminal.status_command import status

PORT = free_port()


def test_every_port_of_the_stack_is_listed_with_its_setting() -> None:
    wanted = {one.setting: one.port for one in required_ports(load(replicas={"max": 3}))}
    assert wanted == {
        "gateway.port": 8000,
        "gateway.metrics_port": 8405,
        "prometheus.port": 9090,
        "collector.metrics_port": 9101,
        "autoscaler.metrics_port": 9102,
        "drift.watch_port": 9105,
        "console.port": 8080,
        "replicas.first_port": 18001,
        "replicas.first_port + 1": 18002,
        "replicas.first_port + 2": 18003,
        "replicas.first_port + 3": 18004,  # for a rollout
    }


def test_components_that_do_not_run_need_no_port() -> None:
    off = load(autoscaler={"enabled": False}, drift={"watch": False}, stack={"host": "0.0.0.0"})
    named = {one.setting for one in required_ports(off)}
    assert not {"autoscaler.metrics_port", "drift.watch_port", "console.port"} & named


def test_each_replica_may_have_a_port_of_its_own_for_metrics() -> None:
    settings = load(
        replicas={"max": 1}, telemetry={"metrics_port": 9200}, stack={"metrics_host": "::1"}
    )
    assert [one for one in required_ports(settings) if one.setting.startswith("telemetry")] == [
        RequiredPort("telemetry.metrics_port", "::1", 9200),
        RequiredPort("telemetry.metrics_port + 1", "::1", 9201),  # for a rollout
    ]


@pytest.mark.parametrize("own_metrics", [False, True])
def test_a_stack_beside_another_has_other_ports_and_the_next_one_its_own_again(
    own_metrics: bool,
) -> None:
    first = free_ports(40)
    metrics = {"telemetry": {"metrics_port": first + 6}} if own_metrics else {}
    settings = load(
        gateway={"metrics_port": first}, replicas={"first_port": first + 1, "max": 4}, **metrics
    )
    found = beside(settings, settings)
    taken = {one.port for one in required_ports(settings)}
    moved = {one.port for one in required_ports(found)} - taken
    assert len(moved) == (11 if own_metrics else 6)
    assert not {found.gateway.metrics_port, found.replicas.first_port} & taken
    assert found.gateway.port == settings.gateway.port
    assert beside(settings, found) == settings


def test_a_stack_beside_another_leaves_out_a_port_that_is_used() -> None:
    first = free_ports(40)
    settings = load(gateway={"metrics_port": first}, replicas={"first_port": first + 1, "max": 1})
    with socket.create_server(("127.0.0.1", first + 4)):
        found = beside(settings, settings)
    assert found.replicas.first_port > first + 4


def test_a_used_port_is_reported_with_its_setting_and_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        problems = port_problems([RequiredPort("gateway.port", "127.0.0.1", port)])
    assert len(problems) == 1
    start = f"port {port} (gateway.port) is used by process {os.getpid()} ("
    assert problems[0].startswith(start)


def test_a_process_that_cannot_be_inspected_belongs_to_another_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def denied(kind: str) -> None:
        raise psutil.AccessDenied(msg=kind)

    monkeypatch.setattr(psutil, "net_connections", denied)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wanted = RequiredPort("gateway.port", "127.0.0.1", taken.getsockname()[1])
        (problem,) = port_problems([wanted])
    assert "is used by a process of another user" in problem
    assert problem.endswith("or set gateway.port to a free port")


def test_a_stack_whose_folder_was_removed_is_found_by_its_ports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = free_ports(2)
    listening = (
        "import socket, sys\n"
        "held = [socket.create_server(('127.0.0.1', int(port))) for port in sys.argv[1:]]\n"
        "print('up', flush=True)\nsys.stdin.read()\n"
    )
    # Exported, the folder is in the environment of the shell that started the stack.
    monkeypatch.setenv("TIDEGATE_STACK__DATA_DIR", str(tmp_path))
    shell = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"
    listener = [sys.executable, "-c", listening, str(ports), str(ports + 1)]
    config = f"TIDEGATE_CONFIG={tmp_path / 'run' / 'settings.toml'}"
    with subprocess.Popen(
        [sys.executable, "-c", shell, "env", config, *listener],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        (program,) = psutil.Process(other.pid).children()
        problems = port_problems(
            [
                RequiredPort("gateway.port", "127.0.0.1", ports),
                RequiredPort("autoscaler.metrics_port", "127.0.0.1", ports + 1),
            ]
        )
        settings = load(stack={"data_dir": tmp_path}, gateway={"port": ports})
        assert down(settings) == 1
        assert status(settings, as_json=False) == 1
        other.communicate()
    (problem,) = problems
    # Nobody holds the lock of the folder: it was removed or replaced.
    assert capsys.readouterr().out.count(f"stop it with `kill {program.pid}`") == 2
    assert problem == (
        f"another stack, in {tmp_path}, uses the ports {ports} (gateway.port), {ports + 1} "
        f"(autoscaler.metrics_port): stop it with `kill {program.pid}`, "
        "or set other ports here"
    )


def test_a_port_that_a_client_had_may_be_that_of_a_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        port = client.getsockname()[1]
        accepted, _ = server.accept()
        # It waits for the server's end, and belongs to no process.
        client.close()
        with accepted:
            (problem,) = port_problems([RequiredPort("replicas.first_port", "127.0.0.1", port)])
    assert (
        "is used by a process of another user, or a connection (clients get the ports from"
        in problem
    )


def test_a_port_used_on_all_addresses_is_used_on_each() -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        assert port_problems([RequiredPort("prometheus.port", "127.0.0.1", taken.getsockname()[1])])


def test_two_settings_with_the_same_port_are_both_named() -> None:
    problems = port_problems(
        [
            RequiredPort("gateway.port", "127.0.0.1", PORT),
            RequiredPort("prometheus.port", "127.0.0.1", PORT),
        ]
    )
    assert problems == [f"port {PORT} is set twice: by gateway.port and by prometheus.port"]


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (RequiredPort("replicas.first_port + 5", "127.0.0.1", 65536), "the highest port is 65535"),
        (
            RequiredPort("gateway.port", "192.0.2.1", PORT),
            "cannot be opened on 192.0.2.1 (stack.host)",
        ),
        (RequiredPort("gateway.port", "no host", PORT), "cannot be opened on no host (stack.host)"),
        (RequiredPort("gateway.port", "2001:db8::1", PORT), "cannot be opened on 2001:db8::1"),
    ],
)
def test_a_port_that_cannot_be_opened_is_reported_with_the_reason(
    wanted: RequiredPort, text: str
) -> None:
    (problem,) = port_problems([wanted])
    assert text in problem
    assert wanted.setting in problem
