"""The model to serve: an artefact folder, or a model file that is converted to one and cached.

`python -m tidegate.service.artefacts.import_cache` converts it before the replicas start, as a replica with a
memory limit may have too little memory for the packages that convert it.

Where nothing supervises the replicas, in Docker Compose, they share one model: the one-shot `adopt` names
its artefact in a file, which each replica reads and holds locked while it runs. So replicas that start later
serve the same model, whatever stands at `model.path` by then.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from tidegate.runtime.locks import try_lock
from tidegate.runtime.private_files import FILE_MODE
from tidegate.service.artefacts.external_data import external_files
from tidegate.service.artefacts.import_report import progress, served_by
from tidegate.service.model.artefact import (
    Artefact,
    ArtefactError,
    digest_file,
    load,
    prune,
    retain,
)
from tidegate.settings import Settings, SettingsError, is_import_string
from tidegate.settings import load as load_settings

NAME_BYTES: Final = 255
MOUNTS: Final = Path("/proc/self/mountinfo")
CONVERTERS: Final = ("onnx", "pandas", "skl2onnx")
"""Packages that every conversion imports, which the default installation lacks."""
IMPORT_FORMAT: Final = 7
"""Increment it when the format of a converted artefact changes, so that cached ones are recreated."""


def adopt(found: Artefact, path: Path, settings: Settings) -> Artefact:
    """Let replicas serve an artefact as the model of `path`, unless one runs; returns what they serve.

    What is part of the image is not adopted: it changes with the replicas' image, and with nothing else.

    Raises:
        ArtefactError: what they serve cannot be read.
        OSError: a file cannot be written.
    """
    if is_import_string(path) or not _is_mounted(path):
        return found
    artefacts = settings.stack.data_dir / "artefacts"
    kept = retain(found, artefacts)
    descriptor = os.open(_file(path, artefacts), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        if not try_lock(descriptor):
            return _read(descriptor, artefacts)
        # One write: a process can be killed between two.
        os.pwrite(descriptor, kept.path.name.ljust(NAME_BYTES).encode(), 0)
    finally:
        os.close(descriptor)
    return kept


def adopted(path: Path, settings: Settings) -> Artefact | None:
    """The adopted model of `path`, which stays so while this process runs; None without one.

    Raises:
        ArtefactError: it cannot be read.
    """
    artefacts = settings.stack.data_dir / "artefacts"
    try:
        descriptor = os.open(_file(path, artefacts), os.O_RDONLY)
    except FileNotFoundError:
        return None
    return _read(descriptor, artefacts)  # locked to the end of the process


def served_now(artefacts: Path) -> Iterator[Path]:
    """The adopted models that a replica serves now."""
    for file in artefacts.glob("adopted-*"):
        with file.open("rb+") as opened:
            if not try_lock(opened.fileno()):
                yield artefacts / opened.read().decode().rstrip()


def _read(descriptor: int, artefacts: Path) -> Artefact:
    """The model that the file names; waits for an `adopt` that writes it."""
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return load(artefacts / os.pread(descriptor, NAME_BYTES, 0).decode().rstrip())


def _is_mounted(path: Path) -> bool:
    """Whether it is in a volume or a folder of the host, which can be on the same device as the image."""
    mounts = {line.split()[4] for line in MOUNTS.read_text(encoding="utf-8").splitlines()} - {"/"}
    path = path.resolve()
    return not mounts.isdisjoint(map(str, (path, *path.parents)))


def _file(path: Path, artefacts: Path) -> Path:
    """The file that names the model of a path."""
    return artefacts / f"adopted-{hashlib.sha256(bytes(path)).hexdigest()[:16]}"


async def served_model(path: Path, settings: Settings) -> Artefact:
    """The adopted model of a path, else as `find_model`."""
    return await asyncio.to_thread(adopted, path, settings) or await find_model(path, settings)


async def find_model(path: Path, settings: Settings) -> Artefact:
    """Load an artefact folder, a model file or a predictor by its import string, as `model.path` names it.

    A file is converted once, into a folder named by the digest of its sources; a predictor gets one that is
    named by what it declares, at this moment. Both in a process, so that this one does not import their
    packages.

    Raises:
        ArtefactError: it is missing or incomplete, or cannot be converted.
    """
    artefacts = settings.stack.data_dir / "artefacts"
    if is_import_string(path):
        arguments = (str(path), str(artefacts), str(settings.service.app_dir))
        return load(Path(await _run("import_predictor", *arguments)))
    if await asyncio.to_thread(path.is_file):
        return await _import_file(path, artefacts)
    return await asyncio.to_thread(load, path)


async def _import_file(file: Path, artefacts: Path) -> Artefact:
    try:
        digest = await asyncio.to_thread(import_digest, file)
    except OSError as error:
        raise ArtefactError(f"{file} cannot be read: {error.strerror}") from error
    out = artefacts / digest
    if not await asyncio.to_thread(out.is_dir):
        if missing := [package for package in CONVERTERS if find_spec(package) is None]:
            raise ArtefactError(
                f"{file} cannot be served: converting it needs {', '.join(missing)}, not installed here: pip "
                "install 'tidegate[train]', or convert it elsewhere (tidegate import-model) and serve that "
                "folder"
            )
        await _run("import_model", str(file), str(out), digest)
    found = await asyncio.to_thread(load, out)
    if found.manifest.inputs != digest:
        raise ArtefactError(f"{out} was not converted from {file} as it is: remove that folder")
    return found


async def _run(module: str, *arguments: str) -> str:
    """Run a module of this package in a process; returns the last line of its output.

    Raises:
        ArtefactError: the last line of its errors, or what ended it; it names the model, the first argument.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", f"{__package__}.{module}", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if code := process.returncode:
        start = f"{arguments[0]} cannot be served: "
        said = _last_line(errors) if code != -signal.SIGKILL else ""
        reason = said or _exit_reason(code)
        raise ArtefactError(reason if reason.startswith(("model.path:", start)) else start + reason)
    return _last_line(output)


def _last_line(output: bytes) -> str:
    return (output.decode(errors="replace").strip().splitlines() or [""])[-1]


def _exit_reason(code: int) -> str:
    """Why a process that did not say so itself ended: SIGKILL comes from the kernel, for lack of memory."""
    if code == -signal.SIGKILL:
        return (
            "the process that imports it was killed, most likely because there was too little memory for it: "
            "give it more, or convert it elsewhere (tidegate import-model) and serve that folder"
        )
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"the process that imports it ended with {how}: a library that reads it may have crashed"


def rows_file(file: Path) -> Path:
    """The optional file of rows in the folder of a model file: `wine.csv` for `wine.joblib`."""
    return file.with_suffix(".csv")


def schema_file(file: Path) -> Path | None:
    """The schema in the folder of a model file: `wine.toml` for `wine.joblib`, else `schema.toml`, if any."""
    candidates = (file.with_suffix(".toml"), file.with_name("schema.toml"))
    return next((path for path in candidates if path.is_file()), None)


def sources(file: Path) -> list[Path]:
    """The files that an artefact is made of: the model file, its rows and schema if any, external data."""
    file = file.parent.resolve() / file.name
    beside = [path for path in (rows_file(file), schema_file(file)) if path and path.is_file()]
    return [file, *beside, *external_files(file)]


def import_digest(file: Path) -> str:
    """16 hexadecimal digits of the digests of all `sources`, their names, and the artefact's format."""
    folder = file.parent.resolve()
    parts = [f"{path.relative_to(folder)} {digest_file(path)}" for path in sources(file)]
    return hashlib.sha256("\n".join([str(IMPORT_FORMAT), *parts]).encode()).hexdigest()[:16]


@contextmanager
def held(file: Path, copies: Path) -> Iterator[Path]:
    """A copy of a model file and of the other `sources`, in a folder that is removed after the block.

    Nobody changes it while it is read, so the digest of the copy is the digest of what was read.
    """
    shutil.rmtree(copies, ignore_errors=True)
    folder = file.parent.resolve()
    try:
        for source in sources(file):
            copy = copies.resolve() / source.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
        yield copies.resolve() / file.name
    finally:
        shutil.rmtree(copies, ignore_errors=True)


def main() -> int:
    """Find the models that the settings name, and convert them if necessary; returns the exit code.

    The replicas start even if the shadow model cannot be converted.
    """
    try:
        settings = load_settings()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if not (found := _find_and_print(settings.model.path, settings)):
        return 1
    if settings.model.shadow_path is not None:
        found += _find_and_print(settings.model.shadow_path, settings)
    artefacts = settings.stack.data_dir / "artefacts"
    prune(artefacts, [*found, *served_now(artefacts)])
    return 0


def _find_and_print(path: Path, settings: Settings) -> list[Path]:
    """Find one model, and print what is served of it, or why it cannot be found; returns their folders."""
    try:
        with progress(path):
            found = asyncio.run(find_model(path, settings))
        artefact = adopt(found, path, settings)
    except (ArtefactError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return []
    manifest = artefact.manifest
    if manifest.digest != found.manifest.digest:
        text = f"{path} has changed, and replicas go on serving what it was: give the new model a new name"
        sys.stdout.write(f"{text}, or stop them before the next start\n")
    sys.stdout.write(f"model {manifest.name} {manifest.version} in {artefact.path}\n")
    if manifest.runtime == "original":
        sys.stdout.write(f"{served_by(manifest.parity)}\n")
    return [found.path, artefact.path]


if __name__ == "__main__":
    sys.exit(main())
