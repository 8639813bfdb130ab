"""What the replicas serve, an artefact or the code of an application, and the admission of a new one."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from tidegate.settings import Settings

# A model file is converted first, which takes a while.
ADMISSION_SECONDS: Final = 300.0
ADMISSION: Final = (sys.executable, "-P", "-m", "tidegate.service.artefacts.admission")


class Release(BaseModel):
    """An artefact; of the one that the stack started with, only the path is known.

    Or the code of an application or a command: `name` is how it is started, `path` its folder, and
    `loaded_at` the time in UTC since which replicas load it; empty for the start of the stack.
    """

    model_config = ConfigDict(frozen=True)

    path: Path
    name: str = ""
    version: str = ""
    loaded_at: str = ""

    @property
    def label(self) -> str:
        """Its name in messages."""
        code = f"(code of {self.loaded_at})" if self.loaded_at else ""
        return " ".join(filter(None, [self.name, self.version, code])) or str(self.path)


def first_release(settings: Settings) -> Release:
    """The release that a stack starts with."""
    if not settings.replica_program:
        return Release(path=settings.model.path)
    return Release(path=settings.service.app_dir, name=settings.service.app or "replicas.command")


class ReleaseRefusedError(ValueError):
    """The artefact cannot be served in place of the current one. Its text says why."""


async def admit(
    path: Path, copies: Path, current: Path, env: Mapping[str, str], cwd: Path
) -> Release:
    """Check an artefact folder or a model file and copy it, if it can take the place of the current artefact.

    It runs in a process like a replica's: loading a model needs its libraries.

    Raises:
        ReleaseRefusedError: it does not load, or has another request schema than the current one.
    """
    arguments = (str(path), str(copies), "--like", str(current))
    process = await asyncio.create_subprocess_exec(
        *(*ADMISSION, *arguments),
        env=dict(env),
        cwd=cwd,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(ADMISSION_SECONDS):
            output, errors = await process.communicate()
    except TimeoutError as error:
        raise ReleaseRefusedError(
            f"{path} could not be loaded within {ADMISSION_SECONDS:g} s"
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
        raise ReleaseRefusedError(f"{path}: its check printed no valid result") from error
