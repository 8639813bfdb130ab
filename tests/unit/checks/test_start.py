"""Problems that prevent a start are reported before any program starts."""

from __future__ import annotations

import shutil
import socket
import sys
from base64 import b64encode
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from support.doubles.aiohttp_server import answering
from support.ports import free_port
from tidegate.checks.start import (
    data_folder_check,
    installed_check,
    objective_check,
    policy_check,
    ports_check,
    program_check,
    replicas_check,
    start_checks,
)
from tidegate.runtime.check_results import failed, ok
from tidegate.settings import load
from tidegate.stack import disk
from tidegate.stack.processes.environment import with_absolute_paths

GIB = 2**30


def problem(**sections: Any) -> str:
    """Why no replica can start."""
    check = program_check(load(**sections))
    return check.text if check.state == "failed" else ""


@pytest.mark.parametrize(
    ("sections", "sets_slots"),
    [
        ({"autoscaler": {"policy": "surge"}, "slots": {"per_replica": 3}}, True),
        ({"autoscaler": {"policy": "surge"}, "slots": {"max": 4}}, False),
        ({"autoscaler": {"policy": "surge", "enabled": False}}, False),
        ({"autoscaler": {"policy": "sloq"}}, False),
    ],
)
def test_a_policy_that_changes_slots_requires_slots_max(
    sections: dict[str, Any], sets_slots: bool
) -> None:
    check = policy_check(load(**sections))
    assert (check.state == "failed") is sets_slots
    assert ("set slots.max above slots.per_replica, which is 3" in check.text) is sets_slots


@pytest.mark.parametrize(
    ("start", "autoscaler", "expected"),
    [
        (0, {}, ""),
        (1, {"enabled": False}, ""),
        (0, {"enabled": False}, "with 0 and autoscaler.enabled = false no replica"),
        (0, {"dry_run": True}, "with 0 and autoscaler.dry_run = true no replica"),
    ],
)
def test_a_stack_that_would_never_have_a_replica_does_not_start(
    start: int, autoscaler: dict[str, bool], expected: str
) -> None:
    check = replicas_check(load(replicas={"min": 0, "start": start}, autoscaler=autoscaler))
    assert expected in check.text
    assert (check.state == "failed") == bool(expected)


async def test_a_full_disk_is_the_first_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert data_folder_check(tmp_path / "data").state != "failed"
    monkeypatch.setattr(disk, "MIN_FREE_BYTES", 2**62)
    found = await start_checks(load(stack={"data_dir": tmp_path / "data"}))
    assert [one.name for one in found] == [
        *("data folder", "first replicas", "haproxy", "prometheus", "model", "policy", "ports")
    ]
    assert found[0].state == "failed"
    assert found[0].text.startswith(f"the disk of {tmp_path}/data is full (")


def test_the_ports_that_the_running_stack_does_not_use_are_checked_for_the_one_that_replaces_it(
    tmp_path: Path, holder: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Another stack's gateway would share such a port: HAProxy binds with SO_REUSEPORT.
    running = load(stack={"data_dir": tmp_path / "data"})
    monkeypatch.setattr("tidegate.checks.start.running_settings", lambda *_: running)
    holder(tmp_path / "data")
    assert ports_check(running).text.startswith("used by the stack that runs here (pid ")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        found = ports_check(load(stack={"data_dir": tmp_path / "data"}, gateway={"port": port}))
    assert (found.state, f"port {port} (gateway.port) is used by" in found.text) == ("failed", True)


@pytest.mark.parametrize(("free", "state"), [(5 * GIB, "ok"), (GIB, "warn")])
def test_a_disk_with_little_space_is_a_warning(
    free: int, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.checks.start.free_bytes", lambda _: free)
    check = data_folder_check(tmp_path)
    assert (check.state, f"{free / GIB:.1f} GiB free" in check.text) == (state, True)


@pytest.mark.parametrize(
    ("folder", "text"),
    [("file/data", "file cannot be written to"), ("/proc/data", "/proc is not on a disk")],
)
def test_a_data_folder_that_cannot_be_made_is_reported(
    folder: str, text: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    check = data_folder_check(tmp_path / folder)
    assert check.state == "failed"
    assert f"{text}: set stack.data_dir to another folder" in check.text


async def test_a_missing_program_is_reported_with_what_to_do() -> None:
    def nowhere() -> Path:
        raise RuntimeError("install it")

    assert await installed_check("haproxy", nowhere, "-v") == failed("haproxy", "install it")
    broken = await installed_check("haproxy", lambda: Path("/no/haproxy"), "-v")
    assert broken.state == "failed"
    assert (await installed_check("promtool", nowhere, "-v", needed=False)).state == "warn"
    python = await installed_check("python", lambda: Path(sys.executable), "--version")
    assert python == ok("python", f"{sys.version.split()[0]} ({sys.executable})")


def test_an_application_and_a_command_are_looked_for_without_running_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "main.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    app = {"app": "shop.main:app", "app_dir": tmp_path}
    assert problem(service=app) == ""
    text = f"service.app: 'shop.main:app': there is no module 'shop' in {tmp_path}/shop"
    assert text in problem(service={**app, "app_dir": tmp_path / "shop"})
    text = f"service.app_dir: {tmp_path}/nowhere is not a folder"
    assert problem(service={**app, "app_dir": tmp_path / "nowhere"}) == text

    def command(program: str) -> str:
        return problem(replicas={"command": (program, "{port}")})

    assert command(sys.executable) == ""
    assert command("no-such-server") == (
        "replicas.command: there is no program 'no-such-server' on PATH: install it, or give its path"
    )
    assert command("./shop/main.py") == "replicas.command: ./shop/main.py is not an executable file"


def test_in_an_empty_folder_the_first_step_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TIDEGATE_CONFIG", raising=False)
    assert "no tidegate.toml here: for an application" in problem()
    assert "up --app module:app" in program_check(with_absolute_paths(load(), tmp_path)).text
    (tmp_path / "tidegate.toml").touch()
    assert "run `tidegate train`" in problem()


def test_a_model_whose_files_are_not_those_of_its_manifest_is_refused_before_the_start(
    artefact: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "model"
    shutil.copytree(artefact, broken)
    assert problem(model={"path": broken}) == ""
    (broken / "model.onnx").write_bytes(b"not a model")
    text = f"{broken}/model.onnx is not the file that manifest.json names"
    assert text in problem(model={"path": broken})


def test_the_module_of_a_predictor_must_be_found(tmp_path: Path) -> None:
    (tmp_path / "pricing.py").write_text("raise RuntimeError('it is not imported')")
    model = {"path": Path("pricing:Price")}
    assert problem(model=model, service={"app_dir": tmp_path}) == ""
    nowhere = {"app_dir": tmp_path / "nowhere"}
    assert problem(model=model, service=nowhere).startswith("service.app_dir: ")
    text = "model.path: 'prices:Price': there is no module 'prices' in "
    other = {"path": Path("prices:Price")}
    assert problem(model=other, service={"app_dir": tmp_path}).startswith(text)


def test_no_folder_is_put_in_front_of_a_predictor(tmp_path: Path) -> None:
    settings = load(model={"path": Path("shop.pricing:Price")}, service={"app_dir": Path("shop")})
    absolute = with_absolute_paths(settings, tmp_path)
    assert absolute.model.path == Path("shop.pricing:Price")
    assert absolute.service.app_dir == tmp_path / "shop"
    assert with_absolute_paths(load(model={"path": Path("a.onnx")}), tmp_path).model.path == (
        tmp_path / "a.onnx"
    )


PORT = free_port()
LACKS = "; store.elasticsearch.username lacks the privilege"


@pytest.mark.parametrize(
    ("status", "login", "text"),
    [
        (200, {}, "URL answers"),
        (200, {"username": "ü", "password_file": "password"}, "URL answers"),
        (503, {}, "URL/_cluster/health responded with status 503; start it"),
        (401, {}, f"URL/_cluster/health responded with status 401{LACKS}; start it"),
        (403, {}, f"status 403{LACKS}; start it"),
        (None, {}, "URL/_cluster/health cannot be reached: connection refused; start it"),
        (200, {"username": "a", "password_file": "/none"}, "/none: No such file"),
        (200, {"username": "a"}, "store.elasticsearch.password_file is needed"),
        (200, {"ca_file": "/none.pem"}, "store.elasticsearch.ca_file: /none.pem: No such file"),
    ],
)
async def test_the_server_of_the_store_must_answer_with_its_login(
    status: int | None, login: dict[str, str], text: str, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("sécret\n")
    url, sent = f"http://127.0.0.1:{PORT}", []

    async def answer(request: web.Request) -> web.Response:
        sent.append((request.path, request.headers.get("Authorization", "")))
        return web.Response(status=status or 500)

    if "password_file" in login:
        login = {**login, "password_file": str(tmp_path / login["password_file"])}
    store = {"kind": "elasticsearch", "elasticsearch": {"url": url, **login}}
    async with answering(answer, PORT) if status else nullcontext():
        found = (await start_checks(load(store=store, stack={"data_dir": tmp_path})))[-1]
    assert (found.name, found.state) == ("elasticsearch", "ok" if "answers" in text else "failed")
    assert text.replace("URL", url) in found.text
    if found.state == "ok":
        basic = b64encode("ü:sécret".encode()).decode()
        assert sent == [("/_cluster/health", f"Basic {basic}" if login else "")]


def test_an_objective_that_looks_like_milliseconds_is_a_warning() -> None:
    assert objective_check(30.0) == []
    (found,) = objective_check(500.0)
    assert (found.state, "if these are milliseconds, set 0.5" in found.text) == ("warn", True)
