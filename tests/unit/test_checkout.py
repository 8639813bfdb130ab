"""The repository as Git for Windows checks it out."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    return subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture(scope="module")
def names() -> set[str]:
    """The files and links of the repository."""
    listed = git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    return {n for n in listed if n and ((ROOT / n).is_file() or (ROOT / n).is_symlink())}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, names: set[str]) -> Path:
    """The same files, committed, and checked out as Git for Windows does."""
    folder = tmp_path_factory.mktemp("checkout")
    origin = folder / "origin"
    origin.mkdir()
    git(origin, "init", "--quiet")
    for name in names:
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, origin / name, follow_symlinks=False)
    git(origin, "add", "--all", "--force")
    git(origin, "commit", "--quiet", "--message", "all")
    windows = ("--config", "core.autocrlf=true", "--config", "core.symlinks=false")
    git(folder, "clone", "--quiet", *windows, "origin", "windows")
    return folder / "windows"


def test_every_file_has_the_same_bytes(checkout: Path, names: set[str]) -> None:
    assert names >= {"scripts/healthy", "observability/logstash/start", "docker-compose.yml"}
    files = {name for name in names if not (ROOT / name).is_symlink()}
    changed = [n for n in files if (checkout / n).read_bytes() != (ROOT / n).read_bytes()]
    assert sorted(changed) == []
    eol = git(checkout, "ls-files", "--eol")
    assert [line for line in eol.splitlines() if "w/crlf" in line or "w/mixed" in line] == []
