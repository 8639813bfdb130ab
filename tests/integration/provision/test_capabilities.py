"""`tidegate secrets init` as root with two capabilities, as in its container; and who can read the files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.checkout import ROOT
from support.components import unavailable
from tidegate.provision.secrets.inventory import CONSUMERS, OURS, Consumer

pytestmark = pytest.mark.integration
NONE = ("--bounding-set", "-all", "--inh-caps", "-all", "--no-new-privs")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where secrets were made; not below pytest's own folder, which only its user may enter."""
    if os.getuid() != 0:
        unavailable("needs root: files are given away to other users")
    made = Path(tempfile.mkdtemp(prefix="tidegate-secrets-"))
    made.chmod(0o755)
    done = init(made, "+chown,+dac_override")
    assert done.returncode == 0, done.stdout + done.stderr
    yield made
    shutil.rmtree(made)


def init(folder: Path, capabilities: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *("setpriv", "--bounding-set", f"-all,{capabilities}", "--inh-caps", "-all"),
            *("--no-new-privs", "--", sys.executable, "-m", "tidegate", "secrets", "init"),
            *("--dir", folder / "secrets", "--given", folder / "given"),
            *("--own", folder / "events", "--own", f"{folder / 'data'}=1000:0"),
            *("--stamp", folder / "data"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def can_read(path: Path, uid: int, gid: int) -> bool:
    user = ("--reuid", str(uid), "--regid", str(gid), "--clear-groups")
    done = subprocess.run(
        ["setpriv", *user, *NONE, "--", "cat", path], capture_output=True, check=False
    )
    return done.returncode == 0


def test_a_second_run_with_the_same_capabilities_changes_nothing(folder: Path) -> None:
    done = init(folder, "+chown,+dac_override")
    assert done.returncode == 0, done.stderr
    assert all(line.endswith(": as it was") for line in done.stdout.splitlines())
    assert [
        (path.stat().st_uid, path.stat().st_gid) for path in (folder / "events", folder / "data")
    ] == [
        (OURS, OURS),
        (1000, 0),
    ]


@pytest.mark.parametrize("consumer", CONSUMERS.values(), ids=lambda consumer: consumer.name)
def test_each_reader_can_read_its_secrets_and_no_other_user_can(
    folder: Path, consumer: Consumer
) -> None:
    files = list((folder / "secrets" / consumer.name).iterdir())
    assert files
    for file in files:
        assert can_read(file, consumer.uid, consumer.gid)
        assert not can_read(file, 4711, 4711)
        # Root has no more rights than others once it has no capabilities; but the resizer is one of two
        # readers of `control`, by its group.
        assert can_read(file, 0, 0) == (consumer.name == "control")


def test_without_a_capability_that_it_needs_it_says_so(folder: Path) -> None:
    shutil.rmtree(folder / "secrets" / "grafana")
    done = init(folder, "+dac_override")
    assert done.returncode == 2
    assert "cannot be written: Operation not permitted; run it as root with the cap" in done.stderr
    assert init(folder, "+chown,+dac_override").returncode == 0
