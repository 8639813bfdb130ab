"""`python -m service.intake PATH KEPT --like CURRENT`: make sure that an artefact can be served, and keep it.

It is loaded as a replica would load it, compared with the one that is served, and copied: so that a replica
that starts days later gets the same model, whatever became of the folder meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from service.adoption import find_model
from service.artefact import Artefact, ArtefactError, Manifest, load, locked, staged
from service.features import Feature
from service.model import make_monitor
from service.predict import load_predictor
from tidegate.drift.reference import BadReferenceError
from tidegate.os_errors import sentence
from tidegate.settings import Settings, SettingsError
from tidegate.settings import load as load_settings


class IntakeError(Exception):
    """The artefact is not taken in; the text says why."""


def take_in(path: Path, kept: Path, like: Path | None, settings: Settings) -> Artefact:
    """Check an artefact and keep a copy of it.

    Args:
        path: an artefact folder, or a file that joblib wrote.
        kept: the folder of copies, one a version.
        like: what is served now; the new one must take the same features and give the same classes.
        settings: where adopted files are kept, and how the model is watched.

    Raises:
        IntakeError: it does not load, or is for other requests.
    """
    found = _loaded(path, settings)
    if like is not None:
        current = _loaded(like, settings)
        if differences := differing(current.manifest, found.manifest):
            raise IntakeError(f"{path} is for other requests: {differences}")
    return keep(found, kept)


def keep(artefact: Artefact, kept: Path) -> Artefact:
    """The artefact's copy, made if there is none that is whole."""
    out = kept / f"{artefact.manifest.name}-{artefact.manifest.version}"
    with locked(out):
        try:
            if (copy := load(out)).manifest == artefact.manifest:
                return copy
        except ArtefactError:
            pass
        with staged(out) as folder:
            shutil.copytree(artefact.path, folder, dirs_exist_ok=True)
        return load(out)


def differing(current: Manifest, other: Manifest) -> str:
    """What a client of the current model would notice of the other one; empty if nothing."""
    said = [
        f"{word} {', '.join(sorted(names))}"
        for word, names in (
            ("it lacks", _names(current) - _names(other)),
            ("it also wants", _names(other) - _names(current)),
        )
        if names
    ]
    here = {feature.name: feature for feature in current.features}
    said += [
        f"{feature.name} {word}"
        for feature in other.features
        if feature.name in here and (word := _stricter(here[feature.name], feature))
    ]
    if set(current.classes) != set(other.classes):
        classes = (", ".join(map(str, each)) for each in (other.classes, current.classes))
        said.append("it answers {}, not {}".format(*classes))
    return "; ".join(said)


def _names(manifest: Manifest) -> set[str]:
    return {feature.name for feature in manifest.features}


def _stricter(current: Feature, other: Feature) -> str:
    if current.kind != other.kind:
        return f"is of kind {other.kind}, not {current.kind}"
    if current.missing and not other.missing:
        return "may no longer be missing"
    if lost := set(current.categories) - set(other.categories):
        return f"no longer takes {', '.join(sorted(lost)[:10])}"
    return ""


def _loaded(path: Path, settings: Settings) -> Artefact:
    try:
        artefact = asyncio.run(find_model(path, settings.stack.data_dir))
        load_predictor(artefact)
        make_monitor(artefact, settings)
    except (ArtefactError, BadReferenceError, OSError) as error:
        raise IntakeError(" ".join(str(error).split())) from error
    return artefact


def main(arguments: Sequence[str] | None = None) -> int:
    """Take one in; prints what it is as JSON, or why not on stderr; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m service.intake", description=__doc__)
    parser.add_argument("path", type=Path, help="an artefact folder, or a file that joblib wrote")
    parser.add_argument("kept", type=Path, help="the folder of copies")
    parser.add_argument("--like", type=Path, help="what is served now")
    options = parser.parse_args(arguments)
    try:
        artefact = take_in(options.path, options.kept, options.like, load_settings())
    except OSError as error:
        sys.stderr.write(f"{sentence(error)}\n")
        return 1
    except (IntakeError, SettingsError, ArtefactError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    told: dict[str, Any] = {
        "path": str(artefact.path),
        "name": artefact.manifest.name,
        "version": artefact.manifest.version,
    }
    sys.stdout.buffer.write(orjson.dumps(told) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
