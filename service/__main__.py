"""`python -m tidegate.service --port 18001`: one replica of the model service."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from tidegate.runtime.optional_packages import exit_if_package_missing
from tidegate.runtime.start_phases import end_phase

_UNUSED: Final = ("psutil", "rich", "watchfiles")
"""What packages import if it is there, for what no replica does: OpenTelemetry to name the process's owner in
a detector of its experiments, structlog to draw tracebacks on a terminal, uvicorn to reload changed code."""


@contextmanager
def _only_what_is_used() -> Iterator[None]:
    """Import without `_UNUSED`, and without the garbage collector, as modules stay.

    Together a quarter of the CPU of these imports, and 8 MiB (2026-11-30).
    """
    hidden = [name for name in _UNUSED if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # so its import fails
    gc.disable()
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
        gc.freeze()
        gc.enable()


end_phase("python")
with exit_if_package_missing(), _only_what_is_used():
    import uvicorn  # noqa: F401  `serve` imports it, when it is too late for a sentence

    from tidegate.service.http.app import create_app
    from tidegate.serving import PortInUseError, ReplicaFailedError, serve
    from tidegate.settings import SettingsError, load
end_phase("imports")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal arrives; returns the exit code.

    0: drained. 1: the model cannot be served. 2: invalid settings or arguments, or the port is in use.
    """
    parser = argparse.ArgumentParser(prog="python -m tidegate.service", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="the port to listen on")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    options = parser.parse_args(arguments)
    try:
        replica = create_app(load()).state.replica
        serve(replica, host=options.host, port=options.port, websockets=False)
    except (SettingsError, PortInUseError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except ReplicaFailedError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
