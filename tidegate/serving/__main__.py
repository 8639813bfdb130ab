"""`python -P -m tidegate.serving shop.main:app --port 8100`: one replica of an application."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tidegate.serving.command import run
from tidegate.settings import SettingsError, load


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal arrives; returns the exit code.

    0: drained. 1: the application cannot be loaded, or failed to start. 2: invalid settings or arguments, or
    the port is in use.
    """
    parser = argparse.ArgumentParser(prog="python -P -m tidegate.serving", description=__doc__)
    parser.add_argument("app", help="the application, module:attribute, such as shop.main:app")
    parser.add_argument("--port", type=int, required=True, help="the port to listen on")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--app-dir", type=Path, default=Path(), help="the folder to import it from")
    parser.add_argument("--ready", default="", help="a function that returns whether it is ready")
    options = parser.parse_args(arguments)
    try:
        settings = load()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return run(
        settings,
        options.app,
        host=options.host,
        port=options.port,
        app_dir=options.app_dir,
        ready=options.ready,
    )


if __name__ == "__main__":
    sys.exit(main())
