"""Where the configuration that is data lies: observability/ and docs/, beside the packages."""

from __future__ import annotations

from pathlib import Path


def project_folder() -> Path:
    """The checkout that this package runs from."""
    return Path(__file__).resolve().parents[2]


def config_folder() -> Path:
    """The folder observability/.

    Raises:
        FileNotFoundError: the package was installed without it.
    """
    folder = project_folder() / "observability"
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no {folder}: run from a checkout of the project, installed with `pip install -e .`"
        )
    return folder
