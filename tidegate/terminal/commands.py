"""`tidegate up` and `down`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from tidegate.checks.ports import lost_stack
from tidegate.checks.start import start_checks
from tidegate.os_errors import os_error_message
from tidegate.runtime.event_log import Entry
from tidegate.service.artefacts.import_cache import find_model, import_digest
from tidegate.service.model.artefact import ArtefactError
from tidegate.settings import Settings, is_import_string
from tidegate.stack.data_folder import Layout, already_running
from tidegate.stack.processes.environment import (
    environment,
    with_absolute_paths,
    with_program_name,
)
from tidegate.stack.processes.process import tail
from tidegate.stack.processes.running_settings import running_settings
from tidegate.stack.supervisor.programs import console_problem, console_url, stop_seconds
from tidegate.store.kinds import KINDS
from tidegate.terminal.run import run_stack
from tidegate.terminal.status_reporters import LiveStatusReporter, PlainStatusReporter
from tidegate.terminal.status_view import line
from tidegate.terminal_console import Console

BAD_ARGUMENT: Final = 2
# Added to the time limit of a stop, for the exit of the supervisor itself and for a busy machine.
GRACE_SECONDS: Final = 15.0


def up(settings: Settings, *, detach: bool, store: str | None) -> int:
    """Start the stack and run it in the foreground, or with `detach` return when it is ready.

    Args:
        settings: the settings.
        detach: run in the background.
        store: the kind of store, instead of that of the settings.

    Returns:
        The exit code: 0, 1 if it could not start, 2 if the kind of store is unknown.
    """
    console, errors = Console(), Console(stderr=True)
    if store not in {None, *KINDS}:
        errors.print(f"--store {store}: unknown store; use {' or '.join(KINDS)}")
        return BAD_ARGUMENT
    settings = with_program_name(with_absolute_paths(_with_store(settings, store), Path.cwd()))
    layout = Layout(settings.stack.data_dir)
    if pid := layout.holder():
        errors.print(already_running(layout.data, pid), soft_wrap=True, highlight=False)
        return 1
    # Before the first file is written: a start in a wrong folder leaves no files.
    checks = asyncio.run(start_checks(settings))
    if problems := [one.text for one in checks if one.state == "failed"]:
        errors.print("\n".join(problems), style="red", soft_wrap=True, highlight=False)
        return 1
    if problem := _import_problem(settings, layout, console):
        errors.print(problem, style="red", soft_wrap=True, highlight=False)
        return 1
    if settings.console.enabled:
        _print(console, f"console: {console_url(settings) or console_problem(settings)}")
    if detach:
        return _detached(settings, layout, console, errors)
    reporter = LiveStatusReporter(console) if console.is_terminal else PlainStatusReporter(console)
    return asyncio.run(run_stack(settings, reporter))


def down(settings: Settings) -> int:
    """Stop the stack, and wait until it has stopped. Does nothing if no stack runs.

    Returns:
        The exit code: 0 if it has stopped, 1 if it had to be killed.
    """
    console = Console()
    settings = with_absolute_paths(settings, Path.cwd())
    layout = Layout(settings.stack.data_dir)
    pid = layout.holder()
    if not pid:
        lost = lost_stack(settings)
        _print(console, lost or f"no stack runs in {layout.data}")
        return 1 if lost else 0
    _print(console, "stopping: finishing requests, delivering events")
    limit = stop_seconds(running_settings(layout, pid) or settings) + GRACE_SECONDS
    _signal(pid, signal.SIGTERM)
    if _wait_until_stopped(layout, pid, limit):
        _print(console, "stopped")
        return 0
    # Its child processes die with it.
    _signal(pid, signal.SIGKILL)
    _wait_until_stopped(layout, pid, GRACE_SECONDS)
    _print(console, f"killed: the supervisor (pid {pid}) did not stop in time")
    return 1


def _import_problem(settings: Settings, layout: Layout, console: Console) -> str:
    """Convert a model file, or import a predictor, before anything starts.

    Returns:
        Why it cannot be served, empty if it can.
    """
    path = settings.model.path
    if settings.replica_program or path.is_dir():
        return ""
    try:
        layout.make()
        if is_import_string(path):
            _print(console, f"importing {path}")
        elif not (layout.data / "artefacts" / import_digest(path)).is_dir():
            _print(console, f"converting {path}")
        asyncio.run(find_model(path, layout.data, settings.service.app_dir))
    except OSError as error:
        return f"the stack cannot start: {os_error_message(error)}"
    except ArtefactError as error:
        return str(error)
    return ""


def _with_store(settings: Settings, kind: str | None) -> Settings:
    if kind is None:
        return settings
    store = settings.store.model_copy(update={"kind": kind})
    return settings.model_copy(update={"store": store})


def _detached(settings: Settings, layout: Layout, console: Console, errors: Console) -> int:
    try:
        layout.make()
        output = layout.output("supervisor")
        output.write_bytes(b"")
        with output.open("ab") as file:  # opened for appending, as it may be truncated meanwhile
            read_end, write_end = os.pipe()
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "tidegate.terminal.detached", str(write_end)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=environment(settings, os.environ, layout.run / "settings.toml"),
                pass_fds=(write_end,),
                start_new_session=True,
            )
            os.close(write_end)
    except OSError as error:
        errors.print(
            f"the stack cannot start: {os_error_message(error)}", soft_wrap=True, highlight=False
        )
        return 1
    try:
        with os.fdopen(read_end, encoding="utf-8") as pipe:
            for text in pipe:
                message = json.loads(text)
                if "entry" in message:
                    console.print(line(Entry(**message["entry"])), soft_wrap=True)
                elif "ready" in message:
                    _print(console, message["ready"])
                    return 0
                else:
                    errors.print(message["failed"], soft_wrap=True, highlight=False)
                    process.wait()
                    return 1
    except KeyboardInterrupt:
        process.send_signal(signal.SIGTERM)
        process.wait()
        raise
    process.wait()
    errors.print(f"the supervisor exited: see {output}\n{tail(output)}")
    return 1


def _signal(pid: int, signal_number: signal.Signals) -> None:
    try:
        os.kill(pid, signal_number)
    except ProcessLookupError:
        return


def _wait_until_stopped(layout: Layout, pid: int, seconds: float) -> bool:
    """Whether the supervisor releases the lock of the folder within `seconds`."""
    deadline = time.monotonic() + seconds
    while layout.holder() == pid:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _print(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True, highlight=False)
