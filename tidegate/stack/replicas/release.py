"""What the replicas serve: which artefact, and how a new one is taken in."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

INTAKE_SECONDS: Final = 300.0
ADMISSION: Final = (sys.executable, "-P", "-m", "tidegate.service.artefacts.admission")
"""A joblib file is converted first, which takes a while."""


class Release(BaseModel):
    """An artefact, and what it is; of the one that the stack started with, only its path is known."""

    model_config = ConfigDict(frozen=True)

    path: Path
    name: str = ""
    version: str = ""

    @property
    def words(self) -> str:
        """For a person."""
        return f"{self.name} {self.version}".strip() or str(self.path)


class ReleaseRefusedError(ValueError):
    """The artefact cannot be served in place of the current one. Its text says why."""


async def take_in(path: Path, kept: Path, like: Path, env: Mapping[str, str], cwd: Path) -> Release:
    """Check an artefact and keep a copy of it, in a process of its own: loading a model needs its libraries.

    Args:
        path: an artefact folder, or a file that joblib wrote.
        kept: the folder of copies.
        like: what is served now.
        env: the environment of the replicas.
        cwd: where they run.

    Raises:
        ReleaseRefusedError: it does not load, or is for other requests.
    """
    arguments = (str(path), str(kept), "--like", str(like))
    process = await asyncio.create_subprocess_exec(
        *(*ADMISSION, *arguments),
        env=dict(env),
        cwd=cwd,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(INTAKE_SECONDS):
            output, errors = await process.communicate()
    except TimeoutError as error:
        raise ReleaseRefusedError(
            f"{path} could not be loaded within {INTAKE_SECONDS:g} s"
        ) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        lines = errors.decode(errors="replace").strip().splitlines()
        raise ReleaseRefusedError(lines[-1] if lines else f"exit {process.returncode}")
    try:
        return Release.model_validate_json(output)
    except ValidationError as error:
        raise ReleaseRefusedError(f"{path}: its check said nothing that reads") from error
