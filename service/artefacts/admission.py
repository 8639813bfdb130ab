"""Check that an artefact can be served, and copy it.

`python -m tidegate.service.artefacts.admission PATH COPIES --like CURRENT` runs it as a process.

The artefact is loaded as a replica loads it, compared with the current one, and copied, so that a replica
that starts days later gets the same model even if the folder has changed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson

from tidegate.monitoring.counting.reference import BadReferenceError
from tidegate.os_errors import os_error_message
from tidegate.service.artefacts.import_cache import find_model
from tidegate.service.artefacts.import_report import served_by
from tidegate.service.model.artefact import Artefact, ArtefactError, Manifest, read_manifest, retain
from tidegate.service.model.loaded_model import make_monitor, open_predictor
from tidegate.service.model.predictor import make_inputs, make_task
from tidegate.settings import Settings, SettingsError
from tidegate.settings import load as load_settings


def admit(path: Path, copies: Path, current: Path | None, settings: Settings) -> Artefact:
    """Check an artefact or a model file, and retain a copy of it in `copies`.

    Raises:
        ArtefactError: it cannot be loaded, or its clients would notice a difference.
    """
    found = _load(path, settings)
    if current is not None:
        served = read_manifest(current)
        if differences := contract_differences(served, found.manifest):
            raise ArtefactError(f"{path} does not accept the same requests: {differences}")
    return retain(found, copies)


def contract_differences(current: Manifest, other: Manifest) -> str:
    """The differences that a client of the current model would notice; empty if none."""
    found = make_inputs(current).differences(other)
    if current.task != other.task:
        found.append(f"its task is {other.task}, not {current.task}")
    else:
        found += make_task(current).differences(other)
    return "; ".join(found)


def _load(path: Path, settings: Settings) -> Artefact:
    try:
        artefact = asyncio.run(find_model(path, settings))
        open_predictor(artefact, app_dir=settings.service.app_dir)
        make_monitor(artefact, settings)
    except (ArtefactError, BadReferenceError, OSError) as error:
        raise ArtefactError(" ".join(str(error).split())) from error
    return artefact


def main(arguments: Sequence[str] | None = None) -> int:
    """Admit an artefact; prints what a release knows of it as JSON, or the reason on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m tidegate.service.artefacts.admission", description=__doc__
    )
    parser.add_argument("path", type=Path, help="an artefact folder, or a model file")
    parser.add_argument("copies", type=Path, help="the folder of copies")
    parser.add_argument("--like", type=Path, help="the artefact that is served")
    options = parser.parse_args(arguments)
    try:
        artefact = admit(options.path, options.copies, options.like, load_settings())
    except (ArtefactError, SettingsError, OSError) as error:
        sys.stderr.write(f"{os_error_message(error) if isinstance(error, OSError) else error}\n")
        return 1
    manifest = artefact.manifest
    admitted = {name: getattr(manifest, name) for name in ("name", "version", "digest")}
    admitted |= {"path": str(artefact.path), "served_by": served_by(manifest.parity)}
    sys.stdout.buffer.write(orjson.dumps(admitted) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
