"""The command line as a whole: errors of the operating system or the installation are one sentence."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from contextlib import chdir, closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from support.checkout import ROOT
from tidegate.cli import app
from tidegate.collector import run
from tidegate.events.event import make_event
from tidegate.os_errors import os_error_message, port_error_message
from tidegate.runtime.identity import event_origin, event_writer
from tidegate.settings import Settings
from tidegate.store import open_store
from tidegate.store.base import SearchRequest

# `python -m …` without a package, as after `pip install .` without an extra.
WITHOUT = """
import runpy, sys
sys.modules[{package!r}] = None
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__")
"""


def tidegate(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What a command does in a folder. Without a process, whose start takes most of a second."""
    with chdir(folder):
        done = CliRunner().invoke(app, arguments, env={"HOME": str(folder), **variables})
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


def is_one_sentence(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "[Errno" not in done.stderr
    for each in words:
        assert each in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("train", "--out", "file/artefact"),
        ("resume",),
        (
            *("simulate", "--trace", "steady", "--policy", "hpa", "--seeds", "1"),
            *("--plot", "file/x.png"),
        ),
        ("simulate", "--trace", "nosuch.csv"),
        ("replay", "nosuch.json"),
    ],
)
def test_a_path_that_cannot_be_used_is_named_in_one_sentence(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "file").touch()
    done = tidegate(tmp_path, *command, TIDEGATE_STACK__DATA_DIR="file/data")
    is_one_sentence(done, "nosuch" if "nosuch" in done.stderr else "file")


@pytest.mark.parametrize(
    ("command", "package", "extra"),
    [
        (("tidegate", "doctor"), "psutil", "all"),
        (("tidegate", "up"), "jinja2", "all"),
        (("tidegate", "train"), "numpy", "all"),
        (("tidegate", "search", "x"), "tantivy", "all"),
        (("tidegate", "monitor", "watch"), "river", "all"),
        (("tidegate", "simulate", "--trace", "steady"), "numpy", "lab"),
        (("service",), "uvicorn", "all"),
        (("loadgen",), "numpy", "loadgen"),
    ],
)
def test_a_package_that_is_not_installed_is_named_with_the_extra(
    tmp_path: Path, command: tuple[str, ...], package: str, extra: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(package=package), *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    is_one_sentence(done, f"the package {package}", f"pip install 'tidegate[{extra}]'")


def test_all_settings_are_shown_with_their_sources(tmp_path: Path) -> None:
    (tmp_path / "tidegate.toml").write_text("[slo]\nlatency_seconds = 0.25\n[replicas]\nmax = 4\n")
    done = tidegate(
        tmp_path,
        "settings",
        "--json",
        TIDEGATE_REPLICAS__MAX="8",
        TIDEGATE_TELEMETRY='{"tracing": "off"}',
        TIDEGATE_STORE__ELASTICSEARCH__URL="http://me:dragon@es:9200",
    )
    assert done.returncode == 0, done.stderr
    found = {one["name"]: one for one in map(json.loads, done.stdout.splitlines())}
    shown = {name: (one["value"], one["source"]) for name, one in found.items()}
    assert shown["slo.latency_seconds"] == (0.25, "tidegate.toml")
    assert shown["replicas.max"] == (8, "TIDEGATE_REPLICAS__MAX")
    assert shown["replicas.min"] == (1, "default")
    assert shown["telemetry.tracing"] == ("off", "TIDEGATE_TELEMETRY")
    assert shown["telemetry.sample_ratio"] == (0.05, "default")
    assert shown["store.elasticsearch.url"][0] == "http://me:********@es:9200"
    assert found["replicas.max"]["variable"] == "TIDEGATE_REPLICAS__MAX"
    assert "dragon" not in done.stdout


def test_settings_of_a_section_are_shown_with_descriptions_at_80_columns(tmp_path: Path) -> None:
    name = "TIDEGATE_AUTOSCALER__HPA__DOWN_STABILIZATION_SECONDS"
    variables = {name: "60", "COLUMNS": "80"}
    done = tidegate(tmp_path, "settings", "autoscaler.hpa", **variables)
    assert done.returncode == 0, done.stderr
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert max(map(len, lines)) <= 80
    at = lines.index("down_stabilization_seconds  60.0")
    assert lines[at + 1].strip() == name
    assert "  Scaling down follows the largest recommendation within this window." in lines
    changed = tidegate(tmp_path, "settings", "--changed", "--json", **variables)
    assert name in changed.stdout


def test_an_unknown_setting_gets_a_suggestion(tmp_path: Path) -> None:
    is_one_sentence(tidegate(tmp_path, "settings", "replica"), "did you mean replicas?")


@pytest.mark.parametrize(
    ("number", "filename", "says"),
    [
        (errno.EACCES, "/x", "/x: permission denied for this user"),
        (errno.ENOSPC, "/x", "/x: no space left on the disk"),
        (errno.EIO, "/x", "/x: Input/output error"),
        (errno.EIO, None, "Input/output error"),
    ],
)
def test_the_message_of_an_os_error_names_its_path(
    number: int, filename: str | None, says: str
) -> None:
    assert os_error_message(OSError(number, os.strerror(number), filename)).startswith(says)


def test_the_message_about_a_taken_port_says_how_to_free_it() -> None:
    taken = OSError(errno.EADDRINUSE, "Address already in use")
    text = port_error_message(taken, "autoscaler.metrics_port", 9102)
    assert text.startswith("autoscaler.metrics_port: port 9102 is taken")
    assert "`tidegate down`" in text
    assert "set autoscaler.metrics_port" in text


TRACE = "a" * 32
APPLICATION = """
import asyncio
import httpx
from fastapi import FastAPI
from tidegate.telemetry import instrument

TRACEPARENT = f"00-{'a' * 32}-{'b' * 16}-01"
app = FastAPI(title="Cake Shop")
telemetry = instrument(app)

@app.get("/cakes")
def cakes():
    return []

async def ask():
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        answer = await client.get("/cakes", headers={"traceparent": TRACEPARENT})

asyncio.run(ask())
telemetry.close()
"""


def test_events_of_an_application_are_found_without_a_collector(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APPLICATION)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run(
        [sys.executable, "shop.py"], cwd=tmp_path, env=environment, check=True, timeout=60
    )
    found = tidegate(tmp_path, "search", 'service.name:cake-shop AND url.path:"/cakes"')
    assert (found.returncode, found.stdout.count("GET /cakes 200")) == (0, 1), found.stderr
    # A second search finds it once, too.
    waterfall = tidegate(tmp_path, "trace", TRACE)
    assert "1 span" in waterfall.stdout
    again = tidegate(tmp_path, "search", 'url.path:"/cakes"', "--json")
    assert len(again.stdout.splitlines()) == 1
    # Found, but there may be newer ones.
    (tmp_path / ".tidegate" / "collector").rename(tmp_path / "collector")
    (tmp_path / ".tidegate" / "collector").write_text("in the way")
    old = tidegate(tmp_path, "search", 'url.path:"/cakes"', "--json")
    assert (old.returncode, old.stdout) == (2, again.stdout)
    assert "the newest events are not delivered" in old.stderr


def test_a_search_does_not_deliver_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "SEARCH_SECONDS", 0)
    settings = Settings(stack={"data_dir": tmp_path}, collector={"batch_events": 2})
    with closing(event_writer(settings, "shop")) as writer:
        for number in range(6):
            writer.write(
                make_event(
                    event_origin(settings, "shop"), "app", f"number {number}", unix_ns=number
                )
            )
    found, complete = [], []
    for _ in range(3):
        complete.append(run.deliver_now(settings))
        with closing(open_store(settings, read_only=True)) as store:
            found.append(store.search(SearchRequest("")).total)
    assert (found, complete) == ([2, 4, 6], [False, False, True])
    assert capsys.readouterr().err.count("not all events are delivered yet") == 2


def test_a_search_leaves_no_data_folder_where_there_is_none(tmp_path: Path) -> None:
    assert tidegate(tmp_path, "search", "x").returncode != 0
    assert not (tmp_path / ".tidegate").exists()


@pytest.mark.parametrize("command", [("up",), ("up", "--detach")])
def test_a_start_that_is_refused_leaves_no_data_folder(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    done = tidegate(tmp_path, *command)
    assert done.returncode == 1
    assert "`tidegate train` makes the example model" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_pause_without_a_running_stack_says_so_and_leaves_no_data_folder(tmp_path: Path) -> None:
    done = tidegate(tmp_path, "pause")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "no stack runs in .tidegate: start one with `tidegate up`\n"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ".tidegate" / "run").mkdir(parents=True)  # of a stack that has stopped
    assert tidegate(tmp_path, "pause").returncode == 3
    assert not (tmp_path / ".tidegate" / "autoscaler").exists()


def test_verify_without_a_running_stack_prints_json_if_asked(tmp_path: Path) -> None:
    done = tidegate(tmp_path, "verify", "--json")
    assert (done.returncode, done.stderr) == (1, "")
    found = json.loads(done.stdout)
    assert (found["ok"], found["checks"]) == (False, [])
    assert found["problem"].startswith(f"no stack runs in {tmp_path}")


@pytest.mark.parametrize(
    ("command", "code"), [(("down",), 0), (("status",), 3), (("search", "x"), 2)]
)
def test_invalid_settings_of_another_section_stop_no_command_about_a_stack(
    tmp_path: Path, command: tuple[str, ...], code: int
) -> None:
    (tmp_path / "tidegate.toml").write_text("[slo]\nlatency = 1\n")
    done = tidegate(tmp_path, *command)
    assert "slo.latency" in done.stderr
    assert "This command ignores it; the data folder is .tidegate" in done.stderr
    assert done.returncode == code, done.stderr


@pytest.mark.parametrize(
    "text", ["[collector]\nkeep_seconds = 1e9\n", '[store]\nkind = "elastik"\n']
)
def test_a_search_with_invalid_settings_delivers_nothing_by_their_defaults(
    tmp_path: Path, text: str
) -> None:
    settings = Settings(stack={"data_dir": tmp_path / ".tidegate"})
    with closing(event_writer(settings, "shop")) as writer:
        writer.write(make_event(event_origin(settings, "shop"), "app", "a cake", unix_ns=1))
    (tmp_path / "tidegate.toml").write_text(text)
    assert "This command ignores it" in tidegate(tmp_path, "search", "cake").stderr
    assert [path.name for path in (tmp_path / ".tidegate").iterdir()] == ["logs"]
    (tmp_path / "tidegate.toml").unlink()
    assert "a cake" in tidegate(tmp_path, "search", "cake", "--since", "99999d").stdout
