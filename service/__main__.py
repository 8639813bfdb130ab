"""`python -m tidegate.service --port 18001`: one replica of the model service."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tidegate.runtime.optional_packages import exit_if_package_missing
from tidegate.settings import SettingsError, load

with exit_if_package_missing():
    import uvicorn  # noqa: F401  `serve` imports it, when it is too late for a sentence

    from tidegate.service.http.app import create_app
    from tidegate.serving import PortInUseError, ReplicaFailedError, serve


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
