"""In Docker Compose a model that is replaced in its folder is served after no replica serves the old one."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest

from support.eventually import eventually
from support.samples.onnx_graphs import linear
from tidegate.service.artefacts import import_cache
from tidegate.service.artefacts.import_cache import adopt, adopted
from tidegate.service.model.artefact import Artefact
from tidegate.settings import Settings

REPLICA = """
import sys
from pathlib import Path
from tidegate.service.artefacts.import_cache import adopted
from tidegate.settings import load
settings = load()
print(adopted(settings.model.path, settings).manifest.digest, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def mounted() -> Iterator[Path]:
    """A folder of another file system than the root's, as a volume is."""
    shared = Path("/dev/shm")
    if not shared.is_mount():
        pytest.skip("/dev/shm is not mounted")
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        yield Path(folder)


def save(file: Path, weight: float) -> None:
    onnx.save(linear(np.full((1, 1), weight, dtype=np.float32)), str(file))


def test_a_replica_that_starts_later_serves_what_the_others_serve(
    mounted: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = mounted / "price.onnx"
    monkeypatch.setenv("TIDEGATE_MODEL__PATH", str(file))
    monkeypatch.setenv("TIDEGATE_STACK__DATA_DIR", str(tmp_path))

    def started(weight: float) -> str:
        save(file, weight)
        assert import_cache.main() == 0
        return capsys.readouterr().out

    def serving() -> subprocess.Popen[str]:
        command, pipe = [sys.executable, "-c", REPLICA], subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, env=os.environ, text=True)

    assert "has changed" not in started(3)
    with serving() as replica:
        assert replica.stdout is not None
        first = replica.stdout.readline().strip()
        assert f"{file} has changed, and replicas go on serving what it was" in started(300)
        with serving() as later:
            assert later.communicate("")[0].strip() == first
    assert "has changed" not in started(300)
    with serving() as replica:
        assert replica.communicate("")[0].strip() != first


def test_a_model_that_got_a_new_name_is_kept_while_a_replica_serves_it(
    mounted: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TIDEGATE_STACK__DATA_DIR", str(tmp_path))

    def adopt_next(number: int) -> Path:
        save(file := mounted / f"price-{number}.onnx", number)
        monkeypatch.setenv("TIDEGATE_MODEL__PATH", str(file))
        assert import_cache.main() == 0
        return Path(capsys.readouterr().out.rpartition(" in ")[2].strip())

    command, pipe = [sys.executable, "-c", REPLICA], subprocess.PIPE
    first = adopt_next(1)
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=os.environ, text=True) as replica:
        assert replica.stdout is not None
        replica.stdout.readline()
        for number in range(2, 5):
            adopt_next(number)
        assert first.is_dir()
        replica.communicate("")
    adopt_next(5)
    assert not first.exists()


def test_a_model_in_the_image_changes_with_the_image(
    flights: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(shutil.copytree(flights.path, tmp_path / "flights"))
    monkeypatch.setenv("TIDEGATE_MODEL__PATH", str(path))
    monkeypatch.setenv("TIDEGATE_STACK__DATA_DIR", str(tmp_path / "data"))
    settings = Settings(model={"path": path}, stack={"data_dir": tmp_path / "data"})
    mounts = tmp_path / "mountinfo"
    monkeypatch.setattr("tidegate.service.artefacts.import_cache.MOUNTS", mounts)
    for points in (
        ["/", "/proc"],
        ["/", str(tmp_path)],
    ):  # of one device: folders on the host's disk
        mounts.write_text(
            "".join(f"36 35 98:0 / {point} rw - ext4 /dev/sda rw\n" for point in points)
        )
        assert adopted(path, settings) is None
        assert import_cache.main() == 0
    assert adopted(path, settings) is not None


def test_an_adopt_that_starts_while_another_one_writes_waits_and_serves_the_same(
    mounted: Path, tmp_path: Path, flights: Artefact
) -> None:
    path = Path(shutil.copytree(flights.path, mounted / "flights"))
    settings = Settings(model={"path": path}, stack={"data_dir": tmp_path})
    kept = adopt(flights, path, settings)
    (file,) = (tmp_path / "artefacts").glob("adopted-*")
    file.write_bytes(b"")  # a new volume, in which another one has created it
    with file.open("r+b") as other, ThreadPoolExecutor() as threads:
        fcntl.flock(other, fcntl.LOCK_EX)
        second = threads.submit(adopt, flights, path, settings)
        eventually(lambda: " -> FLOCK" in Path("/proc/locks").read_text(), "it waits")
        other.write(kept.path.name.encode())
        other.flush()
        fcntl.flock(other, fcntl.LOCK_UN)
        assert second.result().path == kept.path
