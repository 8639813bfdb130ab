"""Logstash's start script: secrets, room for the queue, and the end without the main pipeline."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.logstash_files import FOLDER, IN_IMAGE, TEXTS
from support.ports import free_ports
from tidegate.provision.secrets.inventory import SECRETS


@pytest.fixture
def container(tmp_path: Path) -> Path:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "writer").write_text("writer password\n")
    (tmp_path / "secrets" / "collector").write_text("collector password\n")
    entry = tmp_path / "entry"
    entry.write_text('#!/bin/sh\necho "$*"\nenv\n')
    entry.chmod(0o755)
    return tmp_path


def start(container: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [FOLDER / "start", *arguments],
        env=environment(container) | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def environment(container: Path) -> dict[str, str]:
    """The variables with which the script runs outside of its image."""
    return {
        "PATH": "/usr/bin:/bin",
        "SECRETS": str(container / "secrets"),
        "DATA": str(container / "data"),
        "PIPELINES": str(FOLDER / "pipelines.yml"),
        "ENTRYPOINT": str(container / "entry"),
        "CHECK_SECONDS": "0.05",
    }


def test_secrets_are_in_the_environment_of_logstash_and_not_in_its_arguments(
    container: Path,
) -> None:
    done = start(container, "--version")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "--version", "no secret among the arguments"
    assert "LOGSTASH_WRITER_PASSWORD=writer password" in lines
    assert "LOGSTASH_COLLECTOR_PASSWORD=collector password" in lines
    queue = IN_IMAGE / "data" / "dead_letter_queue"
    assert f'path => "{queue}"' in TEXTS["dead-letters"]
    assert 'pipeline_id => "main"' in TEXTS["dead-letters"]
    assert (container / "data" / "dead_letter_queue" / "main").is_dir()


def test_the_start_script_sets_the_variables_that_the_pipelines_read() -> None:
    needed = set(re.findall(r"\$\{(\w+)\}", "".join(TEXTS.values())))
    assert needed == {"LOGSTASH_WRITER_PASSWORD", "LOGSTASH_COLLECTOR_PASSWORD"}
    script = (FOLDER / "start").read_text()
    assert all(f"{name}=$(secret " in script for name in needed)
    read = set(re.findall(r"\$\(secret (\w+)\)", script))
    assert read <= {secret.name for secret in SECRETS}


@pytest.mark.parametrize("name", ["writer", "collector"])
def test_a_missing_secret_stops_the_start_with_a_message(container: Path, name: str) -> None:
    (container / "secrets" / name).write_text("")
    done = start(container)
    assert done.returncode == 2
    assert f"logstash: there is no secret {container}/secrets/{name}: " in done.stderr
    assert done.stdout == ""


def test_a_data_folder_that_is_not_writable_stops_the_start_with_a_message(container: Path) -> None:
    (container / "data").write_text("a file")
    done = start(container)
    assert done.returncode == 2
    assert "cannot be written: does its volume belong to the user" in done.stderr


@pytest.mark.parametrize(
    ("size", "mebibytes"), [("999999999mb", 999999999), ("999999GB", 999999 * 1024)]
)
def test_a_disk_without_room_for_the_whole_queue_stops_the_start_with_a_message(
    container: Path, size: str, mebibytes: int
) -> None:
    full = container / "pipelines.yml"
    full.write_text(f"- pipeline.id: main\n  queue.max_bytes: {size}\n")
    done = start(container, PIPELINES=str(full))
    message = rf"/data has \d+ MiB free, but its queues may need {mebibytes} MiB more"
    assert re.search(message, done.stderr)
    assert (done.returncode, done.stdout) == (2, ""), "Logstash was not started"


ENDED = 'while kill -0 "$logstash" 2>/dev/null; do :; done'


def changed(container: Path, old: str, new: str) -> Path:
    """The start script with a part of it replaced."""
    text = (FOLDER / "start").read_text()
    assert text.count(old) == 1
    script = container / "start"
    script.write_text(text.replace(old, new))
    script.chmod(0o755)
    return script


def test_the_exit_code_of_a_logstash_that_ends_at_once_is_that_of_the_script(
    container: Path,
) -> None:
    (container / "entry").write_text("#!/bin/sh\nexit 7\n")
    done = subprocess.run(
        # The shell learns of the end before it waits.
        ["/bin/bash", changed(container, "watcher=$!", f"watcher=$!; {ENDED}")],
        env=environment(container),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 7


# Listens where Logstash does: on the port of its API, and unless `main` is missing on that of its input. Its
# API answers as the real one, for a pipeline that does not run with 404.
LISTENER = """#!{python}
import http.server, signal, socket, sys, threading
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
status, *ports = sys.argv[1:]
class Api(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(status) if self.path.endswith("/pipelines/dead-letters") else 200)
        self.end_headers()
    def log_message(self, *_): pass
api = http.server.ThreadingHTTPServer(("127.0.0.1", int(ports[0])), Api)
threading.Thread(target=api.serve_forever, daemon=True).start()
for port in ports[1:]:
    server = socket.create_server(("127.0.0.1", int(port)))
    for _ in range(40 if status == "200" else 3):  # two seconds of checks
        server.accept()[0].close()
print("running", flush=True)
signal.sigwait([signal.SIGTERM])
sys.exit(7)
"""


def listener(
    container: Path,
    *,
    patience: float,
    main: bool,
    letters: int = 200,
    script: Path = FOLDER / "start",
) -> subprocess.Popen[str]:
    """The start script around a process that listens."""
    first = free_ports(2)
    ports = [str(letters), str(first), *([str(first + 1)] if main else [])]
    (container / "entry").write_text(LISTENER.format(python=sys.executable))
    running = {"MONITORING_PORT": str(first), "INPUT_PORT": str(first + 1)}
    return subprocess.Popen(
        [script, *ports],
        env=environment(container) | running | {"PATIENCE_SECONDS": str(patience)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("missing", "main", "letters"), [("main", False, 200), ("dead-letters", True, 404)]
)
def test_logstash_is_ended_if_one_of_its_pipelines_is_missing(
    container: Path, missing: str, main: bool, letters: int
) -> None:
    with listener(container, patience=1, main=main, letters=letters) as process:
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (7, "running\n")
    assert f"the pipeline {missing} does not run" in errors


def test_logstash_with_its_main_pipeline_runs_until_it_is_asked_to_stop(container: Path) -> None:
    # The shell learns of the end between the `wait` that the signal ended and its next look.
    script = changed(container, '"$logstash" || true\n', f'"$logstash" || true\n    {ENDED}\n')
    with listener(container, patience=60, main=True, script=script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (7, "")
