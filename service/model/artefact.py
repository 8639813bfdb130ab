"""The artefact: a folder with a trained model and its metadata.

`manifest.json` carries the digest of every other file; loading refuses a file that differs. A folder is
written under a temporary name and then renamed, so that an incomplete one is never visible.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, ValidationError

from tidegate.os_errors import naming_path, os_error_message
from tidegate.runtime.locks import LockedError, temporary_lock
from tidegate.service.model.signature import Signature

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
MODEL: Final = "model.joblib"
ONNX: Final = "model.onnx"
REFERENCE: Final = "reference.json"
SAMPLES: Final = "samples.ndjson"
OWN: Final = re.compile(r"(.+-)?[0-9a-f]{16}")
"""A name of a folder that ends in a digest, as `retain` and conversions give it."""
LEFT: Final = re.compile(r"\.(.+)\.(source|new|old)\.tmp")


class ArtefactError(Exception):
    """A model cannot be served, or not in this place; the text names it, the reason and what to do."""


class Manifest(Signature):
    """The metadata of an artefact."""

    format: Literal[1] = FORMAT
    """Version of this format."""
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    """The model's name."""
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    """The model's version: the first 12 digits of the digest of its ONNX file, or of `inputs` without one."""
    description: str = ""
    """What the model predicts."""
    inputs: str
    """Digest of the inputs of training: data, settings, code, versions. It identifies the artefact."""
    trained: dict[str, Any] = Field(default={})
    """Time, data window, number of rows and duration (seconds) of the training."""
    metrics: dict[str, Any] = Field(default={})
    """Quality on held-out rows."""
    parity: dict[str, Any] = Field(default={})
    """Comparison of the ONNX model with the scikit-learn model."""
    versions: dict[str, str] = Field(default={})
    """Versions of the packages that created it."""
    files: dict[str, str]
    """`sha256:<digest>` of each other file."""

    @property
    def digest(self) -> str:
        """16 hexadecimal digits of all that a client can notice: each file's digest, and what it declares.

        Not of what was measured of it, whose last digits depend on the processor.
        """
        measured = {"trained", "versions", "metrics", "parity"}
        text = self.model_dump_json(exclude=measured, exclude_defaults=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def held_out_accuracy(self) -> float | None:
        """The accuracy on held-out rows; None if it was not measured."""
        accuracy: float | None = self.metrics.get("held_out", {}).get("accuracy")
        return accuracy


@dataclass(frozen=True, slots=True)
class Artefact:
    """An artefact folder whose files match its manifest."""

    path: Path
    manifest: Manifest

    def check_digest(self, expected: str) -> None:
        """Compare it with `model.digest`; empty is any.

        Raises:
            ArtefactError: it is another model.
        """
        if expected not in {"", self.manifest.digest}:
            raise ArtefactError(
                f"{self.path} is not the model that is served here: its digest is {self.manifest.digest}, "
                f"model.digest is {expected}; deploy it, or put the other one back"
            )


def digest_file(path: Path) -> str:
    """`sha256:<hexadecimal digits>` of a file's content."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def read_manifest(path: Path) -> Manifest:
    """The manifest of an artefact folder; the other files are not verified.

    Raises:
        ArtefactError: it is missing or cannot be read.
    """
    file = path / MANIFEST
    try:
        return Manifest.model_validate_json(file.read_bytes())
    except FileNotFoundError as error:
        # A path like wine.joblib is a model file of the user, which `tidegate train` does not create.
        todo = "save it there" if path.suffix else "run `tidegate train`"
        raise ArtefactError(f"there is no model at {path}: {todo}, or set model.path") from error
    except OSError as error:
        raise ArtefactError(os_error_message(error)) from error
    except ValidationError as error:
        unknown = [
            f"{'.'.join(map(str, one['loc']))}={one['input']!r:.40}"
            for one in error.errors(include_url=False)
            if one["type"] in {"extra_forbidden", "literal_error"}
        ]
        if unknown:
            raise ArtefactError(
                f"{file} was written by another version of Tidegate: this one reads format {FORMAT} and does "
                f"not know {', '.join(unknown[:3])}; use that version, or train or convert the model again"
            ) from error
        raise ArtefactError(f"{file} cannot be read: {error}") from error


def load(path: Path) -> Artefact:
    """Read an artefact folder and verify the digest of each file.

    Raises:
        ArtefactError: a file is missing or its digest differs from the manifest.
    """
    manifest = read_manifest(path)
    for name, digest in manifest.files.items():
        try:
            found = digest_file(path / name)
        except OSError as error:
            raise ArtefactError(f"{path / name} cannot be read: {error.strerror}") from error
        if found != digest:
            raise ArtefactError(
                f"{path / name} is not the file that {MANIFEST} names: "
                f"its digest is {found}, the manifest's is {digest}; train again"
            )
    return Artefact(path=path, manifest=manifest)


def retain(artefact: Artefact, copies: Path) -> Artefact:
    """The copy of an artefact in `copies`, named by its digest; created unless a complete one exists.

    Raises:
        ArtefactError: it changed while it was copied.
        OSError: it cannot be copied.
    """
    manifest = artefact.manifest
    out = copies / f"{manifest.name}-{manifest.digest}"
    with locked(out):
        try:
            if (copy := load(out)).manifest == manifest:  # also where it was made of
                return copy
        except ArtefactError:
            pass
        with staged(out) as folder:
            for name in (MANIFEST, *manifest.files):
                shutil.copyfile(artefact.path / name, folder / name)
            if load(folder).manifest != manifest:
                raise ArtefactError(f"{artefact.path} changed while it was read: start again")
        return load(out)


def prune(copies: Path, keep: Iterable[Path | None]) -> None:
    """Remove what was copied or converted to `copies`, but the artefacts of `keep` and the newest other one.

    What a killed conversion left is removed, too. What somebody writes now, and folders that a person named,
    are left alone.
    """
    kept = {_digest(path) for path in keep if path is not None} - {""}
    with suppress(OSError):  # more space is taken than necessary
        others = [path for path in copies.glob("*/") if OWN.fullmatch(path.name)]
        others = [path for path in others if _digest(path) not in kept]
        unused = sorted(others, key=lambda path: path.stat().st_mtime)[:-1]
        for path in (*copies.glob(".*.tmp"), *unused):
            with suppress(LockedError), locked(copies / LEFT.sub(r"\1", path.name), 0.0):
                shutil.rmtree(path, ignore_errors=True)


def _digest(path: Path) -> str:
    """The digest of an artefact; empty if it is none that this version can read."""
    try:
        return read_manifest(path).digest
    except ArtefactError:
        return ""


def write_manifest(folder: Path, **fields: Any) -> Manifest:
    """Write the manifest of a folder, with the digests of its files.

    The version is that of its ONNX file or of `inputs`, unless `fields` has one.
    """
    files = {
        file.name: digest_file(file) for file in sorted(folder.iterdir()) if file.name != MANIFEST
    }
    digest = files.get(ONNX, fields["inputs"])
    manifest = Manifest(**{"version": digest.removeprefix("sha256:")[:12], **fields}, files=files)
    text = manifest.model_dump_json(indent=2, exclude_defaults=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return manifest


def refuse_foreign(out: Path) -> None:
    """Refuse to overwrite anything but an artefact.

    Raises:
        ArtefactError: `out` is a file, or a folder with other files.
    """
    if not out.exists() or (out / MANIFEST).is_file():
        return
    if out.is_dir() and not any(out.iterdir()):
        return
    raise ArtefactError(
        f"{out} is not an artefact folder and is not overwritten: choose another --out"
    )


@contextmanager
def locked(out: Path, wait_seconds: float | None = None) -> Iterator[None]:
    """Hold the exclusive lock of `out` inside the block, as `exclusive_lock`."""
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    with temporary_lock(out.parent / f".{out.name}.lock", wait_seconds):
        yield


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A temporary folder that replaces `out` when the block succeeds.

    Use it inside `locked(out)`: it first removes what a killed process left.
    """
    out = out.absolute()
    new, old = (out.parent / f".{out.name}.{which}.tmp" for which in ("new", "old"))
    shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    new.mkdir()
    try:
        with naming_path(new):
            yield new
        # A folder cannot be renamed onto a non-empty one, so the old one is renamed first.
        if out.exists():
            out.rename(old)
        new.rename(out)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
