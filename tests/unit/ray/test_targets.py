"""Registration of replicas' metrics with Prometheus, by a file each."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from tidegate.ray.targets import TargetFile, remove_orphans

HOLD = """
import sys, time
from pathlib import Path
from tidegate.ray.targets import TargetFile
TargetFile(Path(sys.argv[1]), "shop-b", "127.0.0.1:2").open()
print("open", flush=True)
time.sleep(600)
"""


def test_the_file_of_a_replica_is_there_while_it_runs(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "targets"
    target = TargetFile(folder, "shop-a", "127.0.0.1:4711")
    target.open()
    (file,) = folder.iterdir()
    assert file.name == "shop-a.json"
    assert json.loads(file.read_text()) == [
        {"targets": ["127.0.0.1:4711"], "labels": {"replica": "shop-a"}}
    ]
    assert file.stat().st_mode & 0o777 == 0o644, "Prometheus is another user"
    assert remove_orphans(folder) == [], "it runs"
    target.close()
    target.close()
    assert list(folder.iterdir()) == []


def test_the_file_of_a_killed_replica_is_removed_by_another(tmp_path: Path) -> None:
    killed = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert killed.stdout is not None
    assert killed.stdout.readline() == "open\n"
    assert remove_orphans(tmp_path) == []
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert (tmp_path / "shop-b.json").exists()
    assert remove_orphans(tmp_path) == ["shop-b"]
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_target_file_stays(tmp_path: Path) -> None:
    for name in ("notes.txt", "shop-a.4711.new"):
        (tmp_path / name).write_text("")
    (tmp_path / "elsewhere.json").symlink_to(tmp_path / "notes.txt")
    assert remove_orphans(tmp_path) == []
    assert len(list(tmp_path.iterdir())) == 3
