"""`tidegate up`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final, get_args

from tidegate.checks.ports import beside
from tidegate.checks.start import start_checks
from tidegate.os_errors import os_error_message
from tidegate.runtime.event_log import Entry
from tidegate.settings import Settings, Store
from tidegate.stack.data_folder import Layout, already_running
from tidegate.stack.processes.environment import (
    environment,
    with_absolute_paths,
    with_program_name,
)
from tidegate.stack.processes.process import tail
from tidegate.stack.processes.running_settings import running_settings
from tidegate.stack.supervisor.programs import console_problem, console_url
from tidegate.terminal.run import run_stack
from tidegate.terminal.status_reporters import PlainStatusReporter
from tidegate.terminal.status_view import line
from tidegate.terminal_console import Console

BAD_ARGUMENT: Final = 2
DETACHED: Final = (sys.executable, "-P", "-m", "tidegate.terminal.detached")


def up(settings: Settings, *, detach: bool, store: str | None, replace: bool = False) -> int:
    """Start the stack, with this kind of store if one is named, and run it in the foreground.

    With `detach` it runs in the background, and this returns when it is ready. With `replace` it takes the
    place of the one that runs, if one does.

    Returns:
        The exit code: 0, 1 if it could not start, 2 if the kind of store is unknown.
    """
    console, errors = Console(), Console(stderr=True)
    kinds = get_args(Store.model_fields["kind"].annotation)
    if store not in {None, *kinds}:
        errors.print(f"--store {store}: unknown store; use {' or '.join(kinds)}")
        return BAD_ARGUMENT
    settings = with_program_name(with_absolute_paths(_with_store(settings, store), Path.cwd()))
    layout = Layout(settings.stack.data_dir)
    if pid := layout.holder():
        if not replace:
            errors.say(already_running(layout.data, pid))
            return 1
        settings = beside(settings, running_settings(layout, pid) or settings)
    # Before the first file is written: a start in a wrong folder leaves no files.
    checks = asyncio.run(start_checks(settings))
    if problems := [one.text for one in checks if one.state == "failed"]:
        errors.say("\n".join(problems), style="red")
        return 1
    if settings.console.enabled:
        console.say(f"console: {console_url(settings) or console_problem(settings)}")
    if detach:
        return _detached(settings, layout, console, errors, replace=replace)
    return asyncio.run(run_stack(settings, PlainStatusReporter(console), replace=replace))


def _with_store(settings: Settings, kind: str | None) -> Settings:
    if kind is None:
        return settings
    store = settings.store.model_copy(update={"kind": kind})
    return settings.model_copy(update={"store": store})


def _detached(
    settings: Settings, layout: Layout, console: Console, errors: Console, *, replace: bool = False
) -> int:
    try:
        layout.make()
        output = layout.output("supervisor")
        output.write_bytes(b"")
        with output.open("ab") as file:  # opened for appending, as it may be truncated meanwhile
            read_end, write_end = os.pipe()
            process = subprocess.Popen(
                [*DETACHED, str(write_end), *(["--replace"] if replace else [])],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=environment(settings, os.environ, layout.run / "settings.toml"),
                pass_fds=(write_end,),
                start_new_session=True,
            )
            os.close(write_end)
    except OSError as error:
        errors.say(f"the stack cannot start: {os_error_message(error)}")
        return 1
    try:
        with os.fdopen(read_end, encoding="utf-8") as pipe:
            for text in pipe:
                message = json.loads(text)
                if "entry" in message:
                    console.print(line(Entry(**message["entry"])), soft_wrap=True)
                elif "ready" in message:
                    console.say(message["ready"])
                    return 0
                else:
                    errors.say(message["failed"])
                    process.wait()
                    return 1
    except KeyboardInterrupt:
        process.send_signal(signal.SIGTERM)
        process.wait()
        raise
    process.wait()
    errors.print(f"the supervisor exited: see {output}\n{tail(output)}")
    return 1
