"""The configuration data is found in a checkout and in a wheel."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tidegate.observability_files import paths
from tidegate.observability_files.paths import observability_folder

ROOT = Path(__file__).parents[3]


def test_in_a_checkout_it_is_the_top_level_folder() -> None:
    assert observability_folder() == ROOT / "observability"


def test_a_link_that_git_checked_out_as_a_file_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tidegate").mkdir()
    (tmp_path / "tidegate/observability").write_text("../observability")
    (tmp_path / "observability").mkdir()
    monkeypatch.setattr(paths, "PACKAGE", tmp_path / "tidegate")
    assert observability_folder() == tmp_path / "observability"


def test_a_wheel_contains_the_files_but_not_the_generator(tmp_path: Path) -> None:
    build = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=ROOT, check=True, capture_output=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    files = {p.relative_to(ROOT) for p in (ROOT / "observability").rglob("*") if p.is_file()}
    assert files
    assert {f"tidegate/{path.as_posix()}" for path in files} <= names
    assert not {name for name in names if name.startswith("tools/")}
