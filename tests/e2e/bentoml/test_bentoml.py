"""deploy/bentoml, by the commands of its own README: scaled, replaced and killed under load, and packed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from support.checkout import ROOT
from support.eventually import eventually
from support.harnesses.page_reader import PageReader
from support.processes.wheel import Wheel

pytestmark = pytest.mark.e2e

FOLDER = ROOT / "deploy" / "bentoml"
# Down within seconds; the page's own settings take minutes.
FAST_DOWN = "sloq:down_seconds=10,coverage=0"
LOAD = "tidegate loadgen run {} --url http://127.0.0.1:8000 --path /summaries --body texts.ndjson"
# Exit code of a load that was sent late: on a busy machine no fault of the stack.
SENT_LATE = 98
DURING = """
name = "during"
description = "While replicas are replaced or killed."
phases = [{ kind = "constant", seconds = 20, rate = 6 }]
"""
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACED = (
    f"curl -sf http://127.0.0.1:8000/summaries -H 'traceparent: 00-{TRACE}-00f067aa0ba902b7-01'"
    " -H 'content-type: application/json' -d '{\"text\": \"The tide turns.\"}'"
)
SLOTS = 2
# Seconds; each start of BentoML is 5 s of CPU, and tests share the machine.
PATIENCE = 300


@pytest.fixture
def reader(tmp_path: Path, wheel: Wheel, bentoml_programs: Path) -> Iterator[PageReader]:
    """In a copy of the folder, with a store of bentos of its own."""
    folder = tmp_path / "bentoml"
    ignored = shutil.ignore_patterns("__pycache__", "wheels", "runs", ".tidegate")
    shutil.copytree(FOLDER, folder, ignore=ignored)
    (folder / "during.toml").write_text(DURING)
    reader = PageReader(folder, wheel)
    reader.environment |= {
        "PATH": os.pathsep.join((reader.environment["PATH"], str(bentoml_programs))),
        "BENTOML_HOME": str(tmp_path / "home"),
        "BENTOML_DO_NOT_TRACK": "True",
        "TIDEGATE_AUTOSCALER__POLICY": FAST_DOWN,
    }
    yield reader
    reader.close()


def test_the_page_and_what_it_promises(reader: PageReader, wheel: Wheel) -> None:
    answered = 1  # the summary that a command of the page fetches

    def load() -> str:
        nonlocal answered
        with loading(reader, "load.toml"):
            pass
        answered += answers(reader)
        return ""

    def deploy() -> str:
        nonlocal answered
        eventually(lambda: len(replicas(reader)) == 1, "one replica is left", PATIENCE)
        with loading(reader, "during.toml"):
            reader.run("tidegate deploy")
        answered += answers(reader)
        reader.run(reader.with_ports(TRACED))
        answered += 1
        eventually(lambda: events(reader) == answered, f"{answered} events", PATIENCE)
        desired = [decision["desired"] for decision in decisions(reader)]
        assert max(desired) >= 3, desired
        trace = reader.run(f"tidegate trace {TRACE}")
        assert "POST /summaries" in trace
        return ""

    def pack() -> str:
        (reader.folder / "wheels").mkdir()
        shutil.copy(wheel.path, reader.folder / "wheels")
        return ""

    instead = {
        reader.with_ports(LOAD.format("load.toml")): load,
        "tidegate deploy": deploy,
        "python -m build --wheel --no-isolation --outdir wheels ../..": pack,
    }
    output = reader.follow(reader.folder / "README.md", instead)
    assert '{"summary":["The tide turns."]}' in output
    # Of the mounted application, and of the one with BentoML's own API: what `tidegate doctor` checks.
    checks = re.findall(r"^replica [a-z ]*?(ok|warn|failed)\b", output, re.MULTILINE)
    assert checks == ["ok"] * 14, output
    (bento,) = (reader.folder.parent / "home").rglob("bento.yaml")
    assert (bento.parent / "env" / "python" / "wheels" / wheel.path.name).is_file()
    assert (bento.parent / "src" / "summaries.py").is_file()


def test_the_server_of_a_killed_replica_ends_and_no_request_fails(reader: PageReader) -> None:
    reader.run("tidegate up --detach")
    reader.run(reader.with_ports(TRACED))
    (killed,) = replicas(reader)
    with loading(reader, "during.toml"):
        eventually(lambda: events(reader) > 1, "the load has begun", PATIENCE)
        servers = psutil.Process(killed["pid"]).children()
        assert servers
        os.kill(killed["pid"], signal.SIGKILL)
        eventually(lambda: not any(map(alive, servers)), "the server has ended")
        eventually(lambda: successor(reader, killed["pid"]), "a successor is ready", PATIENCE)
    answered = 1 + answers(reader)
    # What the killed one had in progress was done again by another: with an event of its own, or without.
    eventually(
        lambda: abs(events(reader) - answered) <= SLOTS,
        "an event for each answer",
        PATIENCE,
    )


@contextmanager
def loading(reader: PageReader, scenario: str) -> Iterator[None]:
    """Send a load during the block, and wait for its end."""
    command = ["bash", "-c", reader.with_ports(LOAD.format(scenario))]
    with subprocess.Popen(
        command, cwd=reader.folder, env=reader.environment, stdout=subprocess.DEVNULL
    ) as sent:
        yield
        assert sent.wait(240) in {0, SENT_LATE}


def answers(reader: PageReader) -> int:
    """The answers of the last load, none of which failed."""
    summary = json.loads((reader.folder / "runs" / "latest" / "summary.json").read_text())
    assert summary["failed"] == 0, summary
    return int(summary["answered"])


def successor(reader: PageReader, pid: int) -> bool:
    """Whether the replica with this process was replaced by one that is ready."""
    found = replicas(reader)
    return bool(found) and all(r["state"] == "ready" and r["pid"] != pid for r in found)


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def replicas(reader: PageReader) -> list[dict[str, Any]]:
    return list(json.loads(reader.run("tidegate status --json; true"))["replicas"])


def decisions(reader: PageReader) -> list[dict[str, Any]]:
    lines = reader.run(
        "tidegate search 'event.dataset:tidegate.decision' --since 20m --limit 1000 --json"
    )
    return [json.loads(line)["tidegate"]["decision"] for line in lines.splitlines()]


def events(reader: PageReader) -> int:
    """The number of stored events of requests for a summary."""
    query = 'event.dataset:tidegate.request AND url.path:"/summaries"'
    found = reader.run(f"tidegate search '{query}' --since 30m --limit 5000 --json")
    return len(found.splitlines())
