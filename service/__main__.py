"""`python -m service --port 18001`: one replica of the model service."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tidegate.runtime.optional_packages import exit_if_package_missing
from tidegate.settings import SettingsError, load

with exit_if_package_missing():
    from service.server import ModelRefusedError, PortTakenError, run


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal comes; gives the exit code.

    0: it drained. 1: the model was refused. 2: bad settings or arguments, or a taken port.
    """
    parser = argparse.ArgumentParser(prog="python -m service", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="where to listen")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    options = parser.parse_args(arguments)
    try:
        run(load(), host=options.host, port=options.port)
    except (SettingsError, PortTakenError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except ModelRefusedError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
