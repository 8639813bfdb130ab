"""Failed and interrupted starts: the reason is reported, and no process is left.

What needs no program is checked in tests/unit/checks/test_start.py, tests/unit/test_command_line.py and
tests/e2e/test_wheel.py.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.ports import free_port
from support.processes.running_stack import Stack, prepared
from tidegate.service.model.artefact import digest_file
from tidegate.stack.data_folder import Layout

pytestmark = pytest.mark.integration


def test_used_ports_are_reported_before_any_program_starts(stack: Stack) -> None:
    with (
        socket.create_server(("127.0.0.1", stack.port)),
        socket.create_server(("127.0.0.1", stack.first_replica + 1)),
    ):
        done = stack.tidegate("up", "--detach")
        doctor = stack.tidegate("doctor")
    assert done.returncode == 1
    assert f"port {stack.port} (gateway.port) is used by process {os.getpid()}" in done.stderr
    assert f"port {stack.first_replica + 1} (replicas.first_port + 1) is used by" in done.stderr
    assert not list((stack.data / "run").glob("prometheus.log"))
    assert doctor.returncode == 1
    assert f"port {stack.port} (gateway.port)" in doctor.stdout


def test_a_broken_model_is_reported_once_with_the_error_of_the_replica(
    tmp_path: Path, artefact: Path
) -> None:
    broken = tmp_path / "model"
    shutil.copytree(artefact, broken)
    (broken / "model.onnx").write_bytes(b"not a model")
    done = prepared(tmp_path, broken).tidegate("up", "--detach")
    assert done.returncode == 1
    assert done.stderr.count("model.onnx is not the file that manifest.json names") == 1
    assert "started as process" not in done.stdout

    manifest = json.loads((broken / "manifest.json").read_text())
    manifest["files"]["model.onnx"] = digest_file(broken / "model.onnx")
    (broken / "manifest.json").write_text(json.dumps(manifest))
    done = prepared(tmp_path, broken).tidegate("up", "--detach")
    assert done.returncode == 1
    assert "flights-1 did not become ready: ended with exit code 1" in done.stderr
    assert done.stderr.count("INVALID_PROTOBUF") == 1
    assert done.stdout.count("flights-1   started as process") == 1


def test_an_unreachable_elasticsearch_is_reported(tmp_path: Path, artefact: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    stack = prepared(tmp_path, artefact, store={"elasticsearch": {"url": url}})
    done = stack.tidegate("up", "--detach", "--store", "elasticsearch")
    assert done.returncode == 1
    assert f"elasticsearch: {url}/_cluster/health cannot be reached" in done.stderr


@contextmanager
def detaching(stack: Stack) -> Iterator[subprocess.Popen[str]]:
    """`up --detach` during the start."""
    with stack.start("up", "--detach") as process:
        assert process.stdout is not None
        process.stdout.readline()  # the first log entry
        try:
            yield process
        finally:
            stack.tidegate("down")


def test_an_interrupted_start_leaves_no_process(stack: Stack) -> None:
    with detaching(stack) as process:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 130, output
        assert stack.tidegate("status").returncode == 3


def test_a_supervisor_that_dies_during_the_start_is_reported(stack: Stack) -> None:
    with detaching(stack) as process:
        os.kill(Layout(stack.data).holder() or 0, signal.SIGKILL)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "the supervisor exited: see " in output
