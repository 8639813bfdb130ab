"""`tidegate loadgen`."""

import sys

try:
    from tidegate.loadgen.cli import main

    main()
except ModuleNotFoundError as error:
    package = (error.name or "").partition(".")[0]
    if package in {"", "loadgen", "tidegate.loadgen"}:
        raise
    sys.stderr.write(
        f"this command needs the package {package}, which is not installed; pip install"
        " 'tidegate[loadgen]' installs all that loadgen needs\n"
    )
    sys.exit(2)
