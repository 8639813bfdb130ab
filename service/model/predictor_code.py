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
    """The class with this name, `package.module:Class`, or the instance, or what the function returns.

    Raises:
        ArtefactError: it cannot be imported, needs arguments, or has no `predict`.
    """
    try:
        found: Any = load_attribute(target, "a predictor", EXAMPLE, suggest=_predicts)
    except LoadError as error:
        raise ArtefactError(f"model.path: {error}") from error
    if inspect.isclass(found):
        _refuse_arguments(target, found, "class")
    elif not _predicts(found) and callable(found):
        _refuse_arguments(target, found, "function")
        found = _call(found, f"the function {target}")
    if not _predicts(found):
        raise ArtefactError(
            f"model.path: {target} {_kind(found)} has no method `predict`: define predict(rows), which "
            "returns a list with one result for each row"
        )
    return found


def load_predictor(target: str) -> Any:
    """The predictor, after its `load()` if it has one.

    Raises:
        ArtefactError: it cannot be found, created or loaded.
    """
    found = find_predictor(target)
    predictor = _call(found, f"the constructor of {target}") if inspect.isclass(found) else found
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
    load = getattr(predictor, "load", None)
    if load is None:
        return predictor
    if not callable(load) or required_arguments(load):
        raise ArtefactError(
            f"model.path: `load` of {target} should be a method without arguments: it is called once "
            "before the first predict"
        )
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


def _kind(found: Any) -> str:
    return "" if inspect.isclass(found) else f"(of type {type(found).__name__})"


def _refuse_arguments(target: str, found: Any, what: str) -> None:
    if needed := required_arguments(found):
        raise ArtefactError(
            f"model.path: the {what} {target} needs arguments ({', '.join(needed)}): give them defaults, "
            "or name a function without arguments that returns the predictor"
        )


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
