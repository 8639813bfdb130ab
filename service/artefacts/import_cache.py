"""The model to serve: an artefact folder, or a model file that is converted to one and cached.

`python -m tidegate.service.artefacts.import_cache` converts it before the replicas start, as a replica with a
memory limit may have too little memory for the packages that convert it.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from tidegate.service.artefacts.adopted_model import adopt, adopted, served_now
from tidegate.service.artefacts.external_data import external_files
from tidegate.service.artefacts.import_report import progress, served_by
from tidegate.service.model.artefact import Artefact, ArtefactError, digest_file, load, prune
from tidegate.settings import Settings, SettingsError, is_import_string
from tidegate.settings import load as load_settings

CONVERTERS: Final = ("onnx", "pandas", "skl2onnx")
"""Packages that every conversion imports, which the default installation lacks."""
IMPORT_FORMAT: Final = 7
"""Increment it when the format of a converted artefact changes, so that cached ones are recreated."""


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
