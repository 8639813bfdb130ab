"""`python -m tools.mutation`, by `make mutation`: which faults do a room's unit tests not notice?

Draws mutants of each room (a package of tidegate/) by a seed, makes one at a time in a copy of the checkout,
and runs that room's unit tests. A mutant is drawn by its own text: other changes leave the sample as it is.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import psutil

from tools.generate.checkout import ROOT
from tools.mutation.mutants import Mutant, mutants_of

# What pytest also runs for a room: promtool tests the rules, the contract of stores the embedded one.
ALSO: Final = {
    "cli": ("tests/unit/test_command_line.py",),
    "rules": ("tests/integration/prometheus/test_rules.py",),
    "settings": ("tests/unit/test_settings.py",),
    "store": ("tests/integration/store", "-m", "not integration"),
}
AT_LEAST: Final = 8  # mutants of each room, however small
MARK: Final = "MUTANT_IN"  # in the environment of each process that the tests start

Record = dict[str, str]


def unit_tests(room: str, path: str = "") -> list[str]:
    """What pytest runs for a room: first the files that import the module. Empty if it has no tests."""
    module = path.removesuffix(".py").replace("/", ".")
    files = sorted(
        (ROOT / "tests" / "unit" / room).rglob("test_*.py"),
        key=lambda file: (f"{module} import" not in file.read_text(), file),
    )
    return [*(str(file.relative_to(ROOT)) for file in files), *ALSO.get(room, ())]


def draw(seed: int, number: int) -> dict[str, list[Mutant]]:
    """About so many mutants over all rooms that have unit tests, each room's by its share of the code."""
    every: dict[str, dict[str, Mutant]] = {}
    for package in sorted((ROOT / "tidegate").iterdir()):
        modules = package.resolve().rglob("*.py") if unit_tests(package.name) else ()
        for path in (str(one.relative_to(ROOT)) for one in modules if "_pb2" not in one.name):
            # Of equal lines of a module one is drawn.
            found = {one.key: one for one in mutants_of(path, (ROOT / path).read_text())}
            every.setdefault(package.name, {}).update(found)
    share = number / sum(map(len, every.values()))
    drawn = {}
    for room, mutants in every.items():
        keys = sorted(mutants, key=lambda key: hashlib.sha256(f"{seed} {key}".encode()).digest())
        drawn[room] = [mutants[key] for key in keys[: max(AT_LEAST, round(share * len(keys)))]]
    return drawn


class Copy:
    """A copy of the checkout in a repository of its own, where one mutant at a time is tested."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "c"
        self._temporary = folder / "t"
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True, text=True).stdout
        for name in names.split("\0"):
            if name and os.path.lexists(ROOT / name):
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.root / name, follow_symlinks=False)
        (self.root / ".venv").symlink_to(ROOT / ".venv")
        for command in ("init -q", "add .", "-c user.name=- -c user.email=- commit -qm copy"):
            self._git(command)

    def survives(self, mutant: Mutant, tests: Sequence[str], seconds: float) -> bool:
        """Whether the tests pass in time with the mutant. The copy is then as it was."""
        (self.root / mutant.path).write_text(mutant.text)
        try:
            return self.passes(tests, seconds)
        finally:
            self._git("checkout -q -- .")
            self._git("clean -fdq")

    def passes(
        self, tests: Sequence[str], seconds: float, output: int = subprocess.DEVNULL
    ) -> bool:
        """Whether the tests pass in time. Ends every process that they started."""
        self._temporary.mkdir()
        # The copy comes before the checkout, which the virtual environment names.
        ours = {"PYTHONPATH": str(self.root), "TMPDIR": str(self._temporary), MARK: str(self.root)}
        command = [".venv/bin/python", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
        try:
            return not subprocess.run(
                command,
                cwd=self.root,
                env={**os.environ, **ours},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=seconds,
                start_new_session=True,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            return False
        finally:
            self._end_processes()
            shutil.rmtree(self._temporary, ignore_errors=True)

    def _end_processes(self) -> None:
        killed = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):  # it has ended, or is another user's
                if process.environ().get(MARK) == str(self.root):
                    process.kill()
                    killed.append(process)
        psutil.wait_procs(killed, 10)

    def _git(self, command: str) -> None:
        subprocess.run(["git", *command.split()], cwd=self.root, check=True)


def try_room(
    room: str, mutants: Sequence[Mutant], copies: SimpleQueue[Copy], jobs: int
) -> Iterator[Record]:
    """A record of each mutant, as soon as it and those before it have been tested."""
    copy = copies.get()
    began = time.monotonic()
    if not copy.passes(unit_tests(room), 1800, output=sys.stderr.fileno()):
        raise SystemExit(f"mutation: the unit tests of {room} fail without a mutant: see above")
    limit = 30 + 3 * (time.monotonic() - began)
    copies.put(copy)

    def test(mutant: Mutant) -> Record:
        copy = copies.get()
        try:
            survives = copy.survives(mutant, unit_tests(room, mutant.path), limit)
        finally:
            copies.put(copy)
        outcome = "survived" if survives else "killed"
        return {"key": mutant.key, "outcome": outcome, "diff": mutant.diff}

    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(test, mutants)


def report(drawn: dict[str, list[Mutant]], records: dict[str, Record]) -> None:
    """Prints the survivors, then how many mutants of each room were killed."""
    table = [f"{'room':<20}{'mutants':>9}{'killed':>9}{'survived':>10}"]
    for room, mutants in drawn.items():
        tested = [records[one.key] for one in mutants if one.key in records]
        survivors = [one for one in tested if one["outcome"] == "survived"]
        for one in survivors:
            print(f"{one['diff']}\n")
        killed = len(tested) - len(survivors)
        table.append(f"{room:<20}{len(tested):>9}{killed:>9}{len(survivors):>10}")
    print("\n".join(table))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mutants", type=int, default=400, help="over all rooms")
    parser.add_argument(
        "--rooms", nargs="+", help="only these, as many of each as without this option"
    )
    parser.add_argument("--jobs", type=int, default=1, help="mutants at a time")
    parser.add_argument("--results", type=Path, default=ROOT / "runs" / "mutation.jsonl")
    parser.add_argument("--again", action="store_true", help="test those that survived once more")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the copies are removed
    drawn = draw(options.seed, options.mutants)
    drawn = {room: drawn[room] for room in options.rooms or drawn}
    options.results.parent.mkdir(parents=True, exist_ok=True)
    options.results.touch()
    lines = options.results.read_text().splitlines()
    records = {record["key"]: record for record in map(json.loads, lines)}
    done = {key for key, one in records.items() if one["outcome"] == "killed" or not options.again}
    with tempfile.TemporaryDirectory(prefix="m") as folder, options.results.open("a") as results:
        copies: SimpleQueue[Copy] = SimpleQueue()
        for number in range(options.jobs):
            copies.put(Copy(Path(folder) / str(number)))
        for room, mutants in drawn.items():
            left = [one for one in mutants if one.key not in done]
            for number, record in enumerate(
                try_room(room, left, copies, options.jobs) if left else (), 1
            ):
                records[record["key"]] = record
                print(json.dumps(record), file=results, flush=True)
                print(
                    f"{room} {number}/{len(left)}: {record['outcome']} {record['diff']}",
                    file=sys.stderr,
                )
    report(drawn, records)


if __name__ == "__main__":
    main()
