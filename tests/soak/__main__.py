"""Break a real stack under load in every way that is known, and account for each request and event.

    make soak                                        # 30 minutes
    make soak ARGS="--parts processes --seed 7"      # one part, another order of the faults
    make soak ARGS="--stop-seconds 3"                # shorter stops
    make soak ARGS="--parts memory --minutes 12"

Everything runs in a network namespace of its own, so it needs root. Exit codes: 0 nothing lost, doubled or
unexplained; 1 something was; 2 it could not run.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Final

from soak import parts
from support.checkout import ROOT

IN_NAMESPACE: Final = "SOAK_NAMESPACE"
CANNOT_RUN: Final = 2


def main() -> int:
    """Run the parts that are asked for; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="make soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=[*parts.PARTS], default=[*parts.PARTS])
    parser.add_argument("--seed", type=int, default=41, help="order and pairs of the faults (41)")
    parser.add_argument(
        "--minutes", type=float, default=30, help="an end after which no part begins (30)"
    )
    parser.add_argument("--stop-seconds", type=float, default=30, help="of each SIGSTOP (30)")
    parser.add_argument("--pairs", type=int, default=4, help="pairs of faults of processes (4)")
    parser.add_argument(
        "--rate", type=float, default=20, help="requests a second beside faults (20)"
    )
    parser.add_argument(
        "--memory-rate", type=float, default=200, help="requests a second of memory (200)"
    )
    options = parser.parse_args()
    if IN_NAMESPACE not in os.environ:
        _enter_namespace()
    end = time.monotonic() + 60 * options.minutes
    wrong = []
    for part in options.parts:
        left = end - time.monotonic()
        if left < parts.LEAST_SECONDS:
            print(f"soak: {part} is left out: the {options.minutes:g} minutes are over", flush=True)
            continue
        print(f"soak: {part} ({left / 60:.0f} minutes are left)", flush=True)
        with tempfile.TemporaryDirectory(prefix="tidegate-soak-") as folder:
            # Elasticsearch runs as another user.
            Path(folder).chmod(0o755)
            order = parts.Order(Path(folder), ROOT / "artefacts" / "flights", options, left, _say)
            try:
                wrong += [f"{part}: {each}" for each in parts.PARTS[part](order)]
            except Exception as error:  # noqa: BLE001  the other parts are tried all the same
                traceback.print_exc()
                wrong.append(f"{part} was not run to its end: {error}")
    print(
        "\n".join(wrong) or "soak: nothing lost, nothing doubled, nothing unexplained", flush=True
    )
    return int(bool(wrong))


def _enter_namespace() -> None:
    """Run this program again where only it listens, and where packets can be dropped."""
    if os.geteuid() != 0:
        sys.stderr.write(
            "soak: it needs root, for a network namespace and a full disk of its own\n"
        )
        sys.exit(CANNOT_RUN)
    os.environ[IN_NAMESPACE] = "1"
    # The shell stays as the namespace's first process: it takes the ends of those whose parent was killed.
    command = 'ip link set lo up && "$0" "$@"; exit'
    again = ("bash", "-c", command, sys.executable, "-m", "soak")
    os.execvp(
        "unshare",
        ["unshare", "-n", "-p", "-f", "--mount-proc", "--kill-child", *again, *sys.argv[1:]],
    )


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
