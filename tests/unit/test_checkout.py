"""The repository as Git for Windows checks it out."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    return subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True
    ).stdout


def test_every_file_has_the_same_bytes_with_autocrlf(tmp_path: Path) -> None:
    listed = git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = {name for name in listed.split("\0") if name and (ROOT / name).is_file()}
    assert names >= {"scripts/healthy", "observability/logstash/start", "docker-compose.yml"}
    origin, checkout = tmp_path / "origin", tmp_path / "checkout"
    origin.mkdir()
    git(origin, "init", "--quiet")
    for name in names:
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, origin / name)
    git(origin, "add", "--all", "--force")
    git(origin, "commit", "--quiet", "--message", "all")
    git(tmp_path, "clone", "--quiet", "--config", "core.autocrlf=true", "origin", "checkout")
    changed = [n for n in names if (checkout / n).read_bytes() != (ROOT / n).read_bytes()]
    assert sorted(changed) == []
    eol = git(checkout, "ls-files", "--eol")
    assert [line for line in eol.splitlines() if "w/crlf" in line or "w/mixed" in line] == []
