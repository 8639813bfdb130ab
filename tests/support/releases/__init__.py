"""The data that releases left, for tests of upgrades and of the way back.

`PYTHONPATH=tests .venv/bin/python -m support.releases COMMIT` adds that of a release: an archive
`<version>-<commit>.tar.xz` in this folder, which the code of the commit has written. It has the data folder
of a stack that was stopped, with events that no collector has read; `predictions.json`, what `/predict`
answered; `settings.json`, all settings of that stack; docker-compose.yml and the chart's values.yaml.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from support import commands
from support.checkout import ROOT

if TYPE_CHECKING:
    from support.releases.data import ReleaseData

FOLDER: Final = Path(__file__).parent
NAMES: Final = sorted(
    (path.name.removesuffix(".tar.xz") for path in FOLDER.glob("*.tar.xz")),
    key=lambda name: ([int(part) for part in name.partition("-")[0].split(".")], name),
)
"""Of all releases whose data is kept, by their versions: `<version>-<commit>`."""
# In CI the tests run as root, in a checkout of another account, which git refuses otherwise.
GIT: Final = ("git", "-c", "safe.directory=*")
# The data is older each day: nothing of it expires.
KEEP_SECONDS, RETENTION = 316_224_000, "3650d"
# What runs from a checkout.
CODE: Final = ("tidegate", "service", "loadgen", "observability", "pyproject.toml")

DELIVER: Final = """
from contextlib import closing
from tidegate.collector.run import deliver_now
from tidegate.settings import load
from tidegate.store import open_store
from tidegate.store.base import SearchRequest
settings = load()
for _ in range(2):
    deliver_now(settings)
with closing(open_store(settings, read_only=True)) as store:
    for hit in store.search(SearchRequest(query="", size=10_000)).hits:
        print(hit["event"]["id"])
"""


def unpack(name: str, folder: Path) -> Path:
    """The data of a release, in a folder of its own."""
    with tarfile.open(FOLDER / f"{name}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@dataclass(frozen=True)
class Checkout:
    """The code of a release; it runs with the packages of this environment."""

    folder: Path

    def environment(self, data: Path, **variables: str) -> dict[str, str]:
        """The environment of its programs: defaults, a data folder, and more settings."""
        own = {key: text for key, text in os.environ.items() if not key.startswith("TIDEGATE_")}
        code = {"PYTHONPATH": str(self.folder), "TIDEGATE_CONFIG": os.devnull}
        return {**own, **code, "TIDEGATE_STACK__DATA_DIR": str(data), **variables}

    def run(
        self, *arguments: str | Path, env: dict[str, str], seconds: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run its Python with these arguments."""
        return commands.run(sys.executable, *arguments, env=env, cwd=self.folder, timeout=seconds)

    def delivered(self, release: ReleaseData) -> list[str]:
        """The ids of all events that a search finds, after it has delivered."""
        kept = {
            "TIDEGATE_COLLECTOR__KEEP_SECONDS": str(KEEP_SECONDS),
            "TIDEGATE_STORE__EMBEDDED__RETENTION": RETENTION,
        }
        done = self.run("-c", DELIVER, env=self.environment(release.data, **kept))
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout.split()


def check_out(commit: str, folder: Path) -> Checkout:
    """The code of a commit, in a folder; the test is skipped where the history does not reach it."""
    if not commands.succeeds(*GIT, "cat-file", "-e", f"{commit}^{{commit}}", cwd=ROOT):
        pytest.skip(f"the history of this checkout does not reach {commit}")
    command = (*GIT, "archive", "--format=tar", commit, *CODE)
    content = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(folder, filter="data")
    return Checkout(folder)
