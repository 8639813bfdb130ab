"""What the replicas serve, an artefact or the code of an application, and the admission of a new one."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from tidegate.runtime.event_log import EventLog
from tidegate.settings import Settings, is_import_string

# A model file is converted first, which can take many minutes.
ADMISSION_SECONDS: Final = 3600.0
ADMISSION: Final = (sys.executable, "-P", "-m", "tidegate.service.artefacts.admission")


class Release(BaseModel):
    """A model: a copy of its artefact that nobody changes, and `source`, where it was made of.

    Or the code of an application or a command: `name` is how it is started, `path` its folder. `loaded_at`
    is the time in UTC since which replicas load code, by which releases of it differ; empty for the start of
    the stack, and for a model that is none. `served_by` says what answers if it is not ONNX Runtime, why, and
    what that costs. `shadow` is a copy of the shadow model, as it was at the start of the stack.
    """

    model_config = ConfigDict(frozen=True)

    path: Path
    name: str = ""
    version: str = ""
    digest: str = ""
    source: Path | None = None
    loaded_at: str = ""
    served_by: str = ""
    shadow: Path | None = None

    @property
    def label(self) -> str:
        """Its name in messages."""
        code = f"(code of {self.loaded_at})" if self.loaded_at else ""
        return " ".join(filter(None, [self.name, self.version, code])) or str(self.path)

    @property
    def model_path(self) -> Path:
        """What replicas load: the copy; of a predictor its code, which must be that of the release, too."""
        return self.source if self.source and is_import_string(self.source) else self.path


def unread_release(settings: Settings) -> Release:
    """The release that a stack starts with, before its model is read."""
    if not settings.replica_program:
        return Release(path=settings.model.path)
    return Release(path=settings.service.app_dir, name=settings.service.app or "replicas.command")


async def first_release(
    settings: Settings, copies: Path, event_log: EventLog, *used: Release
) -> Release:
    """The model of the settings, which stays what is served until a deployment; events say how long it takes.

    Copies of models that neither it nor one of `used` needs are removed.

    Raises:
        ArtefactError: it cannot be served, or is not that of `model.digest`.
        OSError: it cannot be copied.
    """
    from tidegate.service.artefacts.import_report import progress  # noqa: PLC0415

    loop = asyncio.get_running_loop()
    record = partial(event_log.record, "prepare", component="model")
    with progress(settings.model.path, lambda text: loop.call_soon_threadsafe(record, text)):
        release = await read_release(settings, copies)
    await asyncio.to_thread(prune_copies, copies, release, *used)
    if release.served_by:
        record(f"{release.label} is {release.served_by}")
    return release


async def read_release(settings: Settings, copies: Path) -> Release:
    """The model of the settings, converted if necessary, and a copy of it.

    Raises:
        ArtefactError: it cannot be served, or is not that of `model.digest`.
        OSError: it cannot be copied.
    """
    # `tidegate status`, which reads a release, needs none of this.
    from tidegate.service.artefacts.import_cache import find_model  # noqa: PLC0415
    from tidegate.service.artefacts.import_report import served_by  # noqa: PLC0415
    from tidegate.service.model.artefact import retain  # noqa: PLC0415

    source = settings.model.path
    found = await find_model(source, settings)
    found.check_digest(settings.model.digest)
    kept = await asyncio.to_thread(retain, found, copies)
    manifest = kept.manifest
    return Release(
        path=kept.path,
        name=manifest.name,
        version=manifest.version,
        digest=manifest.digest,
        source=source,
        served_by=served_by(manifest.parity),
        shadow=await _shadow(settings, copies),
    )


def prune_copies(copies: Path, *used: Release) -> None:
    """Remove models that nobody uses from `copies`, and from the folder of converted ones beside it."""
    from tidegate.service.model.artefact import prune  # noqa: PLC0415

    paths = [path for release in used for path in (release.path, release.source, release.shadow)]
    for folder in (copies, copies.with_name("artefacts")):
        prune(folder, paths)


async def _shadow(settings: Settings, copies: Path) -> Path | None:
    """A copy of the shadow model; None without one, or where a replica has to say why it has none."""
    from tidegate.service.artefacts.import_cache import find_model  # noqa: PLC0415
    from tidegate.service.model.artefact import ArtefactError, retain  # noqa: PLC0415

    path = settings.model.shadow_path
    if path is None or is_import_string(path):
        return None
    with suppress(ArtefactError, OSError):
        found = await find_model(path, settings)
        return (await asyncio.to_thread(retain, found, copies)).path
    return None


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
        return Release.model_validate_json(output).model_copy(update={"source": path})
    except ValidationError as error:
        raise ReleaseRefusedError(f"{path}: its check printed no valid result") from error
