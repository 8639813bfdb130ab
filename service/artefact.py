"""The artefact: a folder that holds a trained model and all that is known about it.

`manifest.json` carries the digest of every other file; loading refuses a file that differs. A folder is
written beside its place and renamed into it, so that there is never half of one.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from service.features import Feature
from tidegate.os_errors import about, sentence
from tidegate.runtime.locks import exclusive_lock

MANIFEST: Final = "manifest.json"
MODEL: Final = "model.joblib"
ONNX: Final = "model.onnx"
REFERENCE: Final = "reference.json"
SAMPLES: Final = "samples.ndjson"


class ArtefactError(Exception):
    """An artefact that is not there, not whole or not what its manifest says; the text names the file."""


class Manifest(BaseModel):
    """What an artefact says about itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    """Version of this layout."""
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    """The model's name."""
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    """The model's version: the first 12 digits of its ONNX file's digest."""
    description: str = ""
    """What it answers."""
    input: Literal["matrix", "columns"] = "matrix"
    """Whether the ONNX graph takes one float32 matrix, or an input of shape [rows, 1] a feature."""
    features: tuple[Feature, ...] = Field(min_length=1)
    """What it takes, in the matrix's order."""
    classes: tuple[str | int, ...] = Field(min_length=2)
    """What it answers with, in the order of the probabilities."""
    inputs: str
    """Digest of all that the training read: data, settings, code, versions. Same digest, same artefact."""
    trained: dict[str, Any] = {}
    """When, on which window of the data, on how many rows, for how long (seconds)."""
    metrics: dict[str, Any] = {}
    """How good it is, on held-out rows."""
    parity: dict[str, Any] = {}
    """How the ONNX model compares with the scikit-learn model that it was made from."""
    versions: dict[str, str] = {}
    """Versions of what made it."""
    files: dict[str, str]
    """`sha256:<digest>` of each other file."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Manifest:
        names = [feature.name for feature in self.features]
        if len(set(names)) < len(names):
            raise ValueError("two features have the same name")
        return self

    @property
    def example(self) -> dict[str, float | int | str | None]:
        """An instance that works."""
        return {feature.name: feature.example for feature in self.features}


@dataclass(frozen=True, slots=True)
class Artefact:
    """An artefact folder whose files are those that its manifest names."""

    path: Path
    manifest: Manifest


def digest_file(path: Path) -> str:
    """`sha256:<hexadecimal digits>` of a file's content."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def read_manifest(path: Path) -> Manifest:
    """The manifest in an artefact folder, without a look at the other files.

    Raises:
        ArtefactError: it is missing or does not read.
    """
    file = path / MANIFEST
    try:
        return Manifest.model_validate_json(file.read_bytes())
    except FileNotFoundError as error:
        # A path like wine.joblib is a person's own model, which `tidegate train` does not make.
        todo = "save it there by joblib" if path.suffix else "run `tidegate train`"
        raise ArtefactError(f"there is no model at {path}: {todo}, or set model.path") from error
    except OSError as error:
        raise ArtefactError(sentence(error)) from error
    except ValidationError as error:
        raise ArtefactError(f"{file} does not read: {error}") from error


def load(path: Path) -> Artefact:
    """Read an artefact folder and check every file's digest.

    Raises:
        ArtefactError: a file is missing or is not the one that the manifest names.
    """
    manifest = read_manifest(path)
    for name, digest in manifest.files.items():
        try:
            found = digest_file(path / name)
        except OSError as error:
            raise ArtefactError(f"{path / name} does not read: {error.strerror}") from error
        if found != digest:
            raise ArtefactError(
                f"{path / name} is not the file that {MANIFEST} names: "
                f"its digest is {found}, the manifest's is {digest}; train again"
            )
    return Artefact(path=path, manifest=manifest)


def write_manifest(folder: Path, **fields: Any) -> Manifest:
    """Describe the files of a folder in its manifest; version and digests come from them."""
    files = {
        file.name: digest_file(file) for file in sorted(folder.iterdir()) if file.name != MANIFEST
    }
    version = files[ONNX].removeprefix("sha256:")[:12]
    manifest = Manifest(version=version, files=files, **fields)
    text = manifest.model_dump_json(indent=2, exclude_defaults=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return manifest


def refuse_foreign(out: Path) -> None:
    """See that nothing but an artefact would make way for one: whatever else lies there would be lost.

    Raises:
        ArtefactError: `out` is a file, or a folder of something else.
    """
    if not out.exists() or (out / MANIFEST).is_file():
        return
    if out.is_dir() and not any(out.iterdir()):
        return
    raise ArtefactError(f"{out} is no artefact folder, and is left as it is: name another --out")


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Only one process at a time is in this block for an `out`; a second one waits."""
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(out.parent / f".{out.name}.lock", wait_seconds=None):
        yield


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A new folder to fill; it takes the place of `out` when the block ends well, and only then.

    To be used inside `locked(out)`: what a killed process left behind is removed first.
    """
    out = out.absolute()
    new, old = (out.parent / f".{out.name}.{which}.tmp" for which in ("new", "old"))
    shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    new.mkdir()
    try:
        with about(new):
            yield new
        # A folder cannot be renamed onto a full one, so the old one steps aside first.
        if out.exists():
            out.rename(old)
        new.rename(out)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
