"""`tidegate secrets init` as root with two capabilities, as in its container, and the access to the files."""

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
from support.commands import run, succeeds
from support.components import unavailable
from tidegate.provision.secrets.inventory import APPLICATION_UID, CONSUMERS, Consumer

pytestmark = pytest.mark.integration
NONE = ("--bounding-set", "-all", "--inh-caps", "-all", "--no-new-privs")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder with created secrets; not below pytest's folder, which only its user may enter."""
    if os.getuid() != 0:
        unavailable("needs root: it sets the owner of files")
    created = Path(tempfile.mkdtemp(prefix="tidegate-secrets-"))
    created.chmod(0o755)
    done = init(created, "+chown,+dac_override")
    assert done.returncode == 0, done.stdout + done.stderr
    yield created
    shutil.rmtree(created)


def init(folder: Path, capabilities: str) -> subprocess.CompletedProcess[str]:
    return run(
        *("setpriv", "--bounding-set", f"-all,{capabilities}", "--inh-caps", "-all"),
        *("--no-new-privs", "--", sys.executable, "-m", "tidegate", "secrets", "init"),
        *("--dir", folder / "secrets", "--given", folder / "given"),
        *("--own", folder / "events", "--own", f"{folder / 'data'}=1000:0"),
        *("--stamp", folder / "data"),
        cwd=ROOT,
    )


def can_read(path: Path, uid: int, gid: int) -> bool:
    user = ("--reuid", str(uid), "--regid", str(gid), "--clear-groups")
    return succeeds("setpriv", *user, *NONE, "--", "cat", path)


def test_a_second_run_with_the_same_capabilities_changes_nothing(folder: Path) -> None:
    done = init(folder, "+chown,+dac_override")
    assert done.returncode == 0, done.stderr
    assert all(line.endswith(": unchanged") for line in done.stdout.splitlines())
    assert [
        (path.stat().st_uid, path.stat().st_gid) for path in (folder / "events", folder / "data")
    ] == [
        (APPLICATION_UID, APPLICATION_UID),
        (1000, 0),
    ]


@pytest.mark.parametrize("consumer", CONSUMERS.values(), ids=lambda consumer: consumer.name)
def test_only_the_consumer_can_read_its_secrets(folder: Path, consumer: Consumer) -> None:
    files = list((folder / "secrets" / consumer.name).iterdir())
    assert files
    for file in files:
        assert can_read(file, consumer.uid, consumer.gid)
        assert not can_read(file, 4711, 4711)
        # Root without capabilities has no more rights than other users; but the resizer reads `control`
        # by its group.
        assert can_read(file, 0, 0) == (consumer.name == "control")


def test_a_missing_capability_is_reported(folder: Path) -> None:
    shutil.rmtree(folder / "secrets" / "grafana")
    done = init(folder, "+dac_override")
    assert done.returncode == 2
    assert "cannot be written: Operation not permitted; run it as root with the cap" in done.stderr
    assert init(folder, "+chown,+dac_override").returncode == 0
