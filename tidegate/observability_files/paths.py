"""The paths of the configuration data and of the checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).resolve().parents[1]


def observability_folder() -> Path:
    """The folder observability/, which is package data.

    In a checkout `tidegate/observability` is a symbolic link; a wheel holds the files.

    Raises:
        FileNotFoundError: the package was installed without it.
    """
    folder = PACKAGE / "observability"
    if (
        folder.is_file()
    ):  # Git for Windows checks out a symbolic link as a file that holds its target
        folder = PACKAGE / folder.read_text("utf-8").strip()
    folder = folder.resolve()
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} does not exist: install the package again")
    return folder


def project_folder() -> Path:
    """The folder that holds the package: the checkout, or its copy in an image."""
    return PACKAGE.parent
