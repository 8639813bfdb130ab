"""A daemon ends by a signal with exit code 0; one that cannot start writes one sentence and exits with 2."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from tidegate.runtime.daemon import (
    STOP_SIGNALS,
    CannotStartError,
    daemon_event_writer,
    metrics_server,
    run_async_daemon,
    run_daemon,
)
from tidegate.runtime.http_server import http_server
from tidegate.settings import load

SETTING = "collector.metrics_port"


@pytest.fixture(autouse=True)
def _restore_signal_handlers() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_sets_the_stop_event(number: signal.Signals) -> None:
    def main(stop: threading.Event) -> None:
        os.kill(os.getpid(), number)
        assert stop.wait(10)

    assert run_daemon("part", main) == 0


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_cancels_the_coroutine_and_its_cleanup_completes(number: signal.Signals) -> None:
    steps = []

    async def main() -> None:
        try:
            os.kill(os.getpid(), number)
            await asyncio.sleep(10)
        finally:
            os.kill(os.getpid(), number)
            await asyncio.sleep(0.01)
            steps.append("cleaned up")

    assert run_async_daemon("part", main) == 0
    assert steps == ["cleaned up"]


def test_the_result_of_main_is_the_exit_code() -> None:
    async def main() -> int:
        return 1

    assert run_async_daemon("part", main) == 1
    assert run_daemon("part", lambda _: 1) == 1


def test_a_defect_is_raised() -> None:
    async def main() -> None:
        raise KeyError("defect")

    with pytest.raises(KeyError):
        run_async_daemon("part", main)


@pytest.mark.parametrize("error", [CannotStartError, LookupError])
def test_a_failed_start_is_one_sentence_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], error: type[Exception]
) -> None:
    async def main() -> None:
        raise error("a.setting: is wrong")

    assert run_async_daemon("part", main, (LookupError,)) == 2
    assert capsys.readouterr() == ("", "part: a.setting: is wrong\n")


def test_an_unusable_data_folder_names_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = load(stack={"data_dir": tmp_path / "file"})
    with (
        pytest.raises(CannotStartError, match=r"^stack\.data_dir: .*file"),
        daemon_event_writer(settings, "part"),
    ):
        pass


async def test_a_taken_port_of_either_server_names_its_setting(taken_port: int) -> None:
    said = rf"^{SETTING}: port {taken_port} is taken"
    metrics = metrics_server(CollectorRegistry(), "127.0.0.1", taken_port, SETTING)
    with pytest.raises(CannotStartError, match=said), metrics:
        pass
    with pytest.raises(CannotStartError, match=said):
        async with http_server(web.Application(), "127.0.0.1", taken_port, SETTING):
            pass
