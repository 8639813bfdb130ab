"""The model of a report: the one that is served now, unless an option names another."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tidegate.monitoring.counting.reference import BadReferenceError, load_reference
from tidegate.monitoring.report.model_choice import ChosenModel, NoModelError
from tidegate.monitoring.tasks.model import Model
from tidegate.service.artefacts.import_cache import find_model
from tidegate.service.model.artefact import REFERENCE, Artefact, ArtefactError
from tidegate.settings import Settings
from tidegate.stack.data_folder import Layout
from tidegate.stack.processes.environment import with_absolute_paths
from tidegate.stack.supervisor.control_client import ControlError, fetch_status
from tidegate.stack.supervisor.status import StackStatus


def choose_model(settings: Settings, named: Path | None = None) -> ChosenModel:
    """The model to report on.

    That is `named`; else the model of the running stack, which `tidegate deploy` may have changed since the
    start; else `model.path`.

    Raises:
        NoModelError: the model is missing, incomplete or cannot be converted, or its reference is invalid.
    """
    if named is not None and named.name == REFERENCE:
        raise NoModelError(
            f"{named} is the reference of a model, not a model: pass it as --reference, or as --model the "
            "artefact folder or the model file"
        )
    if named is not None:
        return ChosenModel(_read(named, settings), f"{named}, from --model")
    if program := settings.replica_program:
        raise NoModelError(
            f"the replicas run {program}, and there is no artefact of its model: pass the reference.json of "
            "a model that it watches as --reference, or an artefact as --model"
        )
    path = settings.model.path
    status, problem = _running(settings)
    if status is None:
        return ChosenModel(_read(path, settings), f"{path}, from model.path{problem}")
    rolling = status.rollout if status.rollout and status.rollout.state == "rolling" else None
    if release := rolling.before if rolling else status.release:
        path = release.path
    return ChosenModel(_read(path, settings), f"{path}, of the running stack")


def read_model(artefact: Artefact) -> Model:
    """The model in an artefact, as a report describes it.

    Raises:
        BadReferenceError: its reference is invalid.
    """
    manifest = artefact.manifest
    return Model(
        manifest.name,
        manifest.version,
        tuple(str(label) for label in manifest.classes),
        manifest.metrics.get("held_out", {}).get("accuracy"),
        load_reference(artefact.path / REFERENCE),
        unit=manifest.target.unit if manifest.target is not None else "",
    )


def _read(path: Path, settings: Settings) -> Model:
    try:
        return read_model(asyncio.run(find_model(path, settings)))
    except OSError as error:
        raise NoModelError(f"{path} cannot be read: {error.strerror}") from error
    except (ArtefactError, BadReferenceError) as error:
        raise NoModelError(str(error)) from error


def _running(settings: Settings) -> tuple[StackStatus | None, str]:
    """The status of the stack that runs in the data folder, or why it is unknown."""
    layout = Layout(with_absolute_paths(settings, Path.cwd()).stack.data_dir)
    if layout.holder() is None:
        return None, ""
    try:
        return fetch_status(layout.socket), ""
    except ControlError as error:
        return None, f"; the running stack did not report what it serves ({error})"
