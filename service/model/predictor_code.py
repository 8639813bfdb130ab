"""The code of a predictor in Python: found by its import string and loaded; each failure is one sentence."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any, Final

from tidegate.service.model.artefact import ArtefactError
from tidegate.serving import LoadError, describe, load_attribute, required_arguments

EXAMPLE: Final = "shop.model:Price"


def import_from(folder: Path) -> None:
    """Search modules in a folder first, from now on. What is imported already stays.

    Raises:
        ArtefactError: it is not a folder.
    """
    if not folder.is_dir():
        raise ArtefactError(f"service.app_dir: {folder} is not a folder")
    if (path := str(folder.resolve())) not in sys.path[:1]:
        sys.path.insert(0, path)


def find_predictor(target: str) -> Any:
    """The class with this name, `package.module:Class`.

    Raises:
        ArtefactError: it cannot be imported, is no class, needs arguments, or has no `predict`.
    """
    try:
        found: Any = load_attribute(target, "a predictor", EXAMPLE, suggest=_predicts)
    except LoadError as error:
        raise ArtefactError(f"model.path: {error}") from error
    if not inspect.isclass(found) or not _predicts(found):
        raise ArtefactError(
            f"model.path: {target} should be a class with a method `predict`: define predict(self, rows), "
            "which returns a list with one result for each row"
        )
    if needed := required_arguments(found):
        raise ArtefactError(
            f"model.path: {target} needs arguments ({', '.join(needed)}): give them defaults"
        )
    return found


def load_predictor(target: str) -> Any:
    """An instance of the class, after its `load()` if it has one.

    Raises:
        ArtefactError: it cannot be found, created or loaded.
    """
    predictor = _call(find_predictor(target), f"the constructor of {target}")
    predict = predictor.predict
    if inspect.iscoroutinefunction(predict):
        raise ArtefactError(
            f"model.path: predict of {target} is a coroutine function: make it a plain function, "
            "which runs in a slot of its own"
        )
    if len(needed := required_arguments(predict)) > 1:
        raise ArtefactError(
            f"model.path: predict of {target} needs the arguments {', '.join(needed)}; it gets one, "
            "the list of rows"
        )
    if (load := getattr(predictor, "load", None)) is not None:
        _call(load, f"load() of {target}")
    return predictor


def own_modules(target: str, app_dir: Path) -> dict[str, Path]:
    """The source files of an imported predictor, by module: its package's, and those below `app_dir`.

    Modules that it imports later, in `load()`, are not among them, nor are installed packages.
    """
    package = target.partition(":")[0].partition(".")[0]
    folder = app_dir.resolve()
    found: dict[str, Path] = {}
    for name, module in list(sys.modules.items()):
        top = name.partition(".")[0]
        file = getattr(module, "__file__", None)
        if not file or top in {"__main__", "tidegate"}:
            continue
        source = Path(file).resolve()
        is_near = source.is_relative_to(folder) and "site-packages" not in source.parts
        if (top == package or is_near) and source.is_file():
            found[name] = source
    return found


def _predicts(found: Any) -> bool:
    return callable(getattr(found, "predict", None))


def _call(function: Any, name: str) -> Any:
    try:
        made = function()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise ArtefactError(f"model.path: {name} failed: {describe(error)}") from error
    if inspect.iscoroutine(made):
        made.close()
        raise ArtefactError(f"model.path: {name} is a coroutine: make it a plain function")
    return made
