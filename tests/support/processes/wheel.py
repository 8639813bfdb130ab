"""Tidegate installed from its wheel, in an environment that sees the packages of the test environment."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.checkout import ROOT
from support.commands import output

# Packages that a person may have in the working directory, some with the names of our own folders.
PACKAGES = ("service", "loadgen", "tests", "observability")


@dataclass(frozen=True)
class Wheel:
    """A wheel and the programs of the environment in which it is installed."""

    path: Path
    programs: Path

    @property
    def tidegate(self) -> str:
        return str(self.programs / "tidegate")

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        """The environment of a person who has activated the installation and has no settings file."""
        path = os.pathsep.join(
            (str(self.programs), sysconfig.get_path("scripts"), os.environ["PATH"])
        )
        return {k: v for k, v in settings.items() if k != "TIDEGATE_CONFIG"} | {"PATH": path}


def install(folder: Path) -> Wheel:
    """Build the wheel, and install it without dependencies.

    The test environment's site-packages follow the new environment's own on the path. Its .pth files are not
    read, so its editable installation of Tidegate is not active.
    """
    _run("-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT))
    (path,) = folder.glob("*.whl")
    venv = folder / "venv"
    _run("-m", "venv", "--without-pip", str(venv))
    python = venv / "bin" / "python"
    pip = ("-m", "pip", "--disable-pip-version-check", "--python", str(python))
    _run(*pip, "install", "--quiet", "--no-deps", "--no-index", str(path))
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "test-environment.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    found = _run("-P", "-c", "import tidegate; print(tidegate.__file__)", python=python)
    assert found.strip() == str(site / "tidegate" / "__init__.py")
    return Wheel(path, venv / "bin")


@contextmanager
def working_directory(folder: Path) -> Iterator[Path]:
    """A folder with packages that raise when they are imported, and an assertion that none was."""
    record = folder / "imported"
    for name in PACKAGES:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(
            f"from pathlib import Path\nPath({str(record)!r}).write_text(__name__)\n"
            f"raise ImportError(__name__ + ' of the working directory')\n"
        )
    yield folder
    assert not record.exists(), f"{record.read_text()} was imported from the working directory"


def _run(*arguments: str, python: Path = Path(sys.executable)) -> str:
    return output(python, *arguments, timeout=3600)
