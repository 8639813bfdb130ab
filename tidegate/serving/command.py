"""Runs one replica of an application: loads it, serves it, and reports each failure in one sentence."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tidegate.runtime.optional_packages import exit_if_package_missing
from tidegate.runtime.start_phases import end_phase
from tidegate.serving.app_loader import LoadError, load_app
from tidegate.serving.ready_check import load_ready_check
from tidegate.serving.replica import make_replica
from tidegate.serving.run_server import PortInUseError, ReplicaFailedError, serve
from tidegate.settings import Settings, SettingsError
from tidegate.telemetry import Telemetry, get_logger
from tidegate.telemetry.identity import with_app_name
from tidegate.telemetry.logs import watch_output

with exit_if_package_missing():
    from tidegate.serving.server import import_all

log = get_logger("tidegate.serving")
# Of the time to start.
SLOW_SHARE: Final = 0.8
# The supervisor shows a few lines.
SHOWN_FRAMES: Final = 3


def run(
    settings: Settings, target: str, *, host: str, port: int, app_dir: Path, ready: str = ""
) -> int:
    """Load an application and serve it until a signal arrives; returns the exit code.

    0: drained. 1: the application cannot be loaded, or failed to start. 2: an invalid setting, or the port is
    in use.
    """
    if not app_dir.is_dir():
        sys.stderr.write(f"--app-dir: {app_dir} is not a folder\n")
        return 2
    import_all()
    end_phase("imports")
    # From here on, a file such as logging.py in that folder hides nothing of ours.
    sys.path.insert(0, str(app_dir.resolve()))
    watch_output()
    try:
        with _said_if_slow(target, settings.replicas.start_seconds):
            app = load_app(target)
            check = load_ready_check(ready) if ready else None
        end_phase("application")
    except LoadError as error:
        _log_cause(settings, error)
        sys.stderr.write(f"{error}\n")
        return 1
    settings = with_app_name(settings, app, {"__name__": target.partition(":")[0]})
    try:
        replica = make_replica(app, settings, check=check, version=module_version(target))
        serve(replica, host=host, port=port, on_started=lambda: _print_started(target, host, port))
    except (SettingsError, PortInUseError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except (ReplicaFailedError, RuntimeError) as error:  # the latter: it has been started before
        sys.stderr.write(f"{target}: {error}\n")
        return 1
    return 0


@contextmanager
def _said_if_slow(target: str, start_seconds: float) -> Iterator[None]:
    """Say before the time to start is over what the import waits for; the supervisor shows these lines."""
    importing, seconds = threading.get_ident(), SLOW_SHARE * start_seconds

    def say() -> None:
        stack = traceback.extract_stack(sys._current_frames()[importing])  # noqa: SLF001 - the only way
        own = [frame for frame in stack if not frame.filename.startswith("<frozen ")]
        sys.stderr.write(
            f"{target} is still being imported after {seconds:g} s (replicas.start_seconds is"
            f" {start_seconds:g}), here:\n{''.join(traceback.format_list(own[-SHOWN_FRAMES:]))}"
        )
        sys.stderr.flush()

    timer = threading.Timer(seconds, say)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def module_version(target: str) -> str:
    """The `__version__` of the application's module or of its package; empty if there is none."""
    module = target.partition(":")[0]
    for name in (module, module.partition(".")[0]):
        version = getattr(sys.modules.get(name), "__version__", "")
        if version and isinstance(version, str):
            return version
    return ""


def _log_cause(settings: Settings, error: LoadError) -> None:
    """Write an event with the traceback of the application's own error, which the sentence leaves out."""
    if error.__cause__ is None:
        return
    try:
        telemetry = Telemetry(settings)
    except SettingsError:
        return  # the sentence is on stderr
    log.error("the application cannot be loaded", reason=str(error), exc_info=error.__cause__)
    telemetry.close()


def _print_started(target: str, host: str, port: int) -> None:
    address = f"[{host}]" if ":" in host else host
    text = (
        f"{target} listens on http://{address}:{port} (process {os.getpid()}); Ctrl-C drains it\n"
    )
    sys.stdout.write(text)
    sys.stdout.flush()
