"""Write the artefact of a predictor in Python: what its class declares. The code itself stays where it is.

`python -P -m tidegate.service.artefacts.import_predictor TARGET ARTEFACTS APP_DIR` runs it as a process, so
that the caller does not import the code; it prints the folder, or the reason in one sentence.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from platform import python_version
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from tidegate.monitoring.counting.reference import BadReferenceError, load_reference
from tidegate.os_errors import os_error_message
from tidegate.service.artefacts.reference import no_rows
from tidegate.service.artefacts.schema_file import FeatureSchema, first_fault
from tidegate.service.model.artefact import (
    REFERENCE,
    ArtefactError,
    Manifest,
    digest_file,
    locked,
    staged,
    write_manifest,
)
from tidegate.service.model.features import Feature
from tidegate.service.model.predictor import TASKS
from tidegate.service.model.predictor_code import find_predictor, import_from, own_modules

DIGITS: Final = 12
"""Of the digest of the sources, which is the version unless the class has one."""


def import_predictor(target: str, artefacts: Path, app_dir: Path) -> Path:
    """Write the artefact of a predictor, `package.module:Class`; returns its folder, named by its content.

    Raises:
        ArtefactError: it cannot be imported, or declares something invalid.
    """
    import_from(app_dir)
    predictor = find_predictor(target)
    try:
        own = own_modules(target, app_dir)
        read = _Read(files=getattr(predictor, "files", ())).files
        own |= {str(name): app_dir.resolve() / name for name in read}
        code = [(name, str(path), digest_file(path)) for name, path in sorted(own.items())]
        parts = [target, *(f"{name} {digest}" for name, _, digest in code)]
        # Of a version that the class names, the code may change.
        inputs = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        fields = _fields(predictor, target, inputs[:DIGITS])
        reference = _reference(predictor, fields["features"], app_dir)
        declared = Manifest.model_validate({**fields, "inputs": inputs, "files": {}})
        content = hashlib.sha256(declared.model_dump_json().encode() + reference)
        digest = content.hexdigest()
        sources = {path: found for _, path, found in code}
        # The folder is of this place, too; the digest is the same on each machine.
        content.update(repr(sources).encode())
        out = artefacts / f"predictor-{content.hexdigest()[:16]}"
        with locked(out):
            if out.is_dir():
                return out
            with staged(out) as folder:
                (folder / REFERENCE).write_bytes(reference)
                write_manifest(
                    folder,
                    **fields,
                    inputs=f"sha256:{digest}",
                    trained={"sources": sources},
                    versions={"python": python_version()},
                )
    except ValidationError as error:
        raise ArtefactError(f"model.path: {target}: {first_fault(error)}") from error
    return out


def _fields(predictor: Any, target: str, version: str) -> dict[str, Any]:
    """The fields of the manifest that the class declares."""
    own = target.partition(":")[2].rpartition(".")[2]
    task = getattr(predictor, "task", "values")
    if task not in tuple(TASKS):
        raise ArtefactError(
            f"model.path: `task` of {target} should be one of {', '.join(TASKS)}, got {task!r}"
        )
    try:
        answers = TASKS[task].declared(predictor)
    except ArtefactError as error:
        raise ArtefactError(f"model.path: {target} has {error}") from None
    return {
        "name": getattr(predictor, "name", own),
        "version": str(getattr(predictor, "version", "") or version),
        "description": getattr(predictor, "description", ""),
        "task": task,
        "input": "rows",
        "runtime": "python",
        "predictor": target,
        "features": _features(predictor, target),
        **answers,
    }


class _Read(BaseModel):
    files: list[Path]


class _Feature(FeatureSchema):
    example: bool | float | int | str | None = None


class _Declared(BaseModel):
    features: list[_Feature]


def _features(predictor: Any, target: str) -> tuple[Feature, ...]:
    found = []
    for declared in _Declared(features=getattr(predictor, "features", ())).features:
        feature = Feature(name=declared.name, **declared.changes())
        if feature.kind == "category" and not feature.categories:
            raise ArtefactError(
                f"model.path: feature {feature.name} of {target}: the kind category needs `categories`"
            )
        if feature.example is None:
            feature = feature.model_copy(update={"example": _value(feature)})
        found.append(feature)
    return tuple(found)


def _value(feature: Feature) -> float | int | str:
    """A value that is accepted, for the documentation."""
    if feature.is_string:
        return feature.categories[0] if feature.categories else "text"
    if feature.kind == "boolean":
        return False
    low = feature.minimum if feature.minimum is not None else min(0.0, feature.maximum or 0.0)
    return int(-(-low // 1)) if feature.kind == "integer" else low


def _reference(predictor: Any, features: Sequence[Feature], app_dir: Path) -> bytes:
    """The content of the file that the class names, or a reference of no rows."""
    named = getattr(predictor, "reference", None)
    if named is None:
        return no_rows(features).model_dump_json().encode()
    file = app_dir / Path(named)
    if not file.is_file():
        raise ArtefactError(
            f"model.path: `reference`: there is no file {file}: `tidegate reference` makes one, and a "
            "relative path is one in service.app_dir"
        )
    load_reference(file)
    return file.read_bytes()


def main(arguments: Sequence[str]) -> int:
    """Import a predictor; returns the exit code."""
    target, artefacts, app_dir = arguments
    # What the code prints while it is imported must not become the answer.
    try:
        with redirect_stdout(sys.stderr):
            out = import_predictor(target, Path(artefacts), Path(app_dir))
    except (ArtefactError, BadReferenceError, OSError) as error:
        reason = os_error_message(error) if isinstance(error, OSError) else str(error)
        sys.stderr.write(f"{' '.join(reason.split())}\n")
        return 1
    sys.stdout.write(f"{out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
