"""Which branches for errors of the event pipeline seeds reach.

They are the bodies of `except`, and each `raise`. Lists those that no seed has reached.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from coverage import Coverage

from .seeds import failing

CHECKOUT = Path(__file__).parents[3]
ROOMS = (
    "tidegate/collector/",
    "tidegate/events/writer.py",
    "tidegate/runtime/atomic_files.py",
    "tidegate/runtime/locks.py",
    "tidegate/runtime/private_files.py",
    "tidegate/store/elasticsearch/store.py",
    "tidegate/store/elasticsearch/templates.py",
    *(
        f"tidegate/store/embedded/{one}.py"
        for one in ("folder", "index", "integrity", "repair", "store")
    ),
)
"""What runs in the simulation."""


def error_branches(source: str) -> Iterator[int]:
    """The first line of each branch for errors of a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler):
            yield node.body[0].lineno
        elif isinstance(node, ast.Raise):
            yield node.lineno


def report(seeds: range) -> int:
    """Run seeds, and print how many of these branches they reach, and the others."""
    files = [one for room in ROOMS for one in _modules(CHECKOUT / room)]
    measured = Coverage(
        data_file=None,
        config_file=False,
        include=list(map(str, files)),
        concurrency="greenlet",
    )
    measured.start()
    failed = list(failing(seeds))
    measured.stop()
    reached = every = 0
    for file in files:
        source = file.read_text("utf-8")
        lines = set(measured.get_data().lines(str(file)) or ())
        branches = set(error_branches(source))
        every += len(branches)
        reached += len(branches & lines)
        for line in sorted(branches - lines):
            print(f"{file.relative_to(CHECKOUT)}:{line}: {source.splitlines()[line - 1].strip()}")
    print(f"{reached} of {every} branches for errors reached by {len(seeds):,} seeds")
    print(*(f"seed {seed}: {reason}" for seed, reason in failed), sep="\n")
    return int(bool(failed))


def _modules(path: Path) -> list[Path]:
    return sorted(path.glob("*.py")) if path.is_dir() else [path]
