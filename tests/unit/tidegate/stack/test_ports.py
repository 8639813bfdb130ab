"""Ports: which are wanted, and what a person is told when one cannot be had."""

from __future__ import annotations

import os
import socket

import psutil
import pytest
from ports import free_port

from tidegate.settings import load
from tidegate.stack.ports import Wanted, port_problems, wanted_ports

PORT = free_port()


def test_every_port_of_the_stack_is_wanted_by_the_name_of_its_setting() -> None:
    wanted = {one.setting: one.port for one in wanted_ports(load(replicas={"max": 3}))}
    assert wanted == {
        "gateway.port": 8000,
        "gateway.metrics_port": 8405,
        "prometheus.port": 9090,
        "collector.metrics_port": 9101,
        "autoscaler.metrics_port": 9102,
        "drift.watch_port": 9105,
        "replicas.first_port": 18001,
        "replicas.first_port + 1": 18002,
        "replicas.first_port + 2": 18003,
        "replicas.first_port + 3": 18004,  # while a new model takes over
    }


def test_what_does_not_run_wants_no_port() -> None:
    wanted = wanted_ports(load(autoscaler={"enabled": False}, drift={"watch": False}))
    named = {one.setting for one in wanted}
    assert not {"autoscaler.metrics_port", "drift.watch_port"} & named


def test_free_ports_are_no_problem() -> None:
    assert port_problems([Wanted("gateway.port", "127.0.0.1", PORT)]) == []


def test_a_taken_port_is_named_with_its_setting_and_the_process_that_holds_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        problems = port_problems([Wanted("gateway.port", "127.0.0.1", port)])
    assert len(problems) == 1
    start = f"port {port} (gateway.port) is taken by process {os.getpid()} ("
    assert problems[0].startswith(start)


def test_a_holder_that_may_not_be_looked_at_is_of_another_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def denied(kind: str) -> None:
        raise psutil.AccessDenied(msg=kind)

    monkeypatch.setattr(psutil, "net_connections", denied)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wanted = Wanted("gateway.port", "127.0.0.1", taken.getsockname()[1])
        (problem,) = port_problems([wanted])
    assert problem.endswith("is taken by a process of another user")


def test_a_port_taken_on_all_addresses_is_taken_on_ours() -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        assert port_problems([Wanted("prometheus.port", "127.0.0.1", taken.getsockname()[1])])


def test_two_settings_with_one_port_are_both_named() -> None:
    problems = port_problems(
        [Wanted("gateway.port", "127.0.0.1", PORT), Wanted("prometheus.port", "127.0.0.1", PORT)]
    )
    assert problems == [f"port {PORT} is wanted twice: by gateway.port and by prometheus.port"]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Wanted("replicas.first_port + 5", "127.0.0.1", 65536), "ports end at 65535"),
        (Wanted("gateway.port", "192.0.2.1", PORT), "cannot be opened on 192.0.2.1 (stack.host)"),
        (Wanted("gateway.port", "no host", PORT), "cannot be opened on no host (stack.host)"),
        (Wanted("gateway.port", "2001:db8::1", PORT), "cannot be opened on 2001:db8::1"),
    ],
)
def test_a_port_that_cannot_be_opened_says_why(wanted: Wanted, words: str) -> None:
    (problem,) = port_problems([wanted])
    assert words in problem
    assert wanted.setting in problem
