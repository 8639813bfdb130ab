"""Loads an application by its name, `module:attribute`; each failure is one sentence that says what to do."""

from __future__ import annotations

import importlib
import inspect
import sys
from difflib import get_close_matches
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final, cast

from tidegate.serving.failures import code_location, describe
from tidegate.telemetry.asgi import ASGIApp

MAX_SUGGESTIONS: Final = 5

# Packages that are installed by another name than the one they are imported by.
DISTRIBUTIONS: Final = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "dotenv": "python-dotenv",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}

_ASGI_ARGUMENTS: Final = (None, None, None)  # scope, receive, send


class LoadError(Exception):
    """An application or a function cannot be loaded; the text says why and what to do."""


def load_app(target: str) -> ASGIApp:
    """The ASGI application with this name, such as `shop.main:app`.

    The attribute may be nested (`shop.main:site.app`), and a function or class without arguments that returns
    the application.

    Raises:
        LoadError: it cannot be loaded, or is not an ASGI application.
    """
    found = load_attribute(target, "an application", "shop.main:app", suggest=is_asgi)
    if is_asgi(found):
        return cast("ASGIApp", found)
    if not callable(found) or _is_wsgi(found):
        raise LoadError(_not_an_application(target, found))
    if needed := required_arguments(found):
        raise LoadError(
            f"{target} is a factory that needs arguments ({', '.join(needed)}); name a function without "
            "required arguments that returns the application"
        )
    made = _call_factory(target, found)
    if is_asgi(made):
        return cast("ASGIApp", made)
    raise LoadError(_not_an_application(f"{target}()", made))


def load_attribute(target: str, what: str, example: str, *, suggest: Any = callable) -> object:
    """The object with this name, `module:attribute`; `suggest` says which other ones may be meant.

    Raises:
        LoadError: the name is malformed, the module cannot be imported, or it has no such attribute.
    """
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute or "/" in module_name or module_name.endswith(".py"):
        raise LoadError(
            f'"{target}" does not name {what}: write module:attribute, such as "{example}"'
        )
    found: Any = _import(module_name, target)
    reached = module_name
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise LoadError(_missing_attribute(found, reached, part, suggest)) from None
        except Exception as error:
            raise LoadError(f"{reached}.{part} raised {describe(error)}") from error
        reached = f"{reached}{':' if reached == module_name else '.'}{part}"
    return cast("object", found)


def is_asgi(candidate: Any) -> bool:
    """Whether an object is an ASGI 3 application: a callable with the arguments scope, receive and send."""
    if inspect.isclass(candidate) or not callable(candidate):
        return False
    if inspect.isfunction(candidate) and not inspect.iscoroutinefunction(candidate):
        # A function that returns the coroutine of another one is an application only by its names.
        return list(_parameters(candidate))[:3] == ["scope", "receive", "send"]
    return _takes(candidate, _ASGI_ARGUMENTS) and not _takes(candidate, ())


def _import(module_name: str, target: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise LoadError(_module_not_found(module_name, error)) from error
    except KeyboardInterrupt:
        raise
    except SystemExit as error:
        where = code_location(error.__traceback__)
        raise LoadError(
            f"{module_name} exits while it is imported{f' ({where})' if where else ''}: move what only the "
            f'command line needs below `if __name__ == "__main__":` ({target})'
        ) from error
    except BaseException as error:
        raise LoadError(f"{module_name} cannot be imported: {describe(error)}") from error


def _module_not_found(module_name: str, error: ModuleNotFoundError) -> str:
    missing = error.name or ""
    own = module_name == missing or module_name.startswith(f"{missing}.")
    where = code_location(error.__traceback__)
    if missing and own and not where:
        return (
            f"there is no module {missing} in {sys.path[0]}, nor an installed one; set service.app_dir "
            "(--app-dir) to the folder that has it"
        )
    package, at = missing.partition(".")[0] or str(error), f" ({where})" if where else ""
    if missing and find_spec(package) is not None:
        return f"{module_name} imports {missing}, which does not exist{at}"
    return (
        f"{module_name} needs the package {package}, which is not installed{at}: "
        f"install it by `{sys.executable} -m pip install {DISTRIBUTIONS.get(package, package)}`"
    )


def _missing_attribute(found: object, reached: str, name: str, suggest: Any) -> str:
    names = [key for key in dir(found) if not key.startswith("_")]
    fitting = [key for key in names if suggest(inspect.getattr_static(found, key, None))]
    near = get_close_matches(name, fitting, MAX_SUGGESTIONS) or fitting[:MAX_SUGGESTIONS]
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"{reached} has no attribute {name}{hint}"


def _call_factory(target: str, factory: Any) -> object:
    try:
        made: object = factory()
    except KeyboardInterrupt:
        raise
    except ModuleNotFoundError as error:
        raise LoadError(_module_not_found(target, error)) from error
    except BaseException as error:
        raise LoadError(f"the factory {target} failed: {describe(error)}") from error
    if inspect.iscoroutine(made):
        made.close()
        raise LoadError(
            f"the factory {target} is a coroutine function: make it a plain function, and move what it "
            "awaits to the lifespan of the application"
        )
    return made


def _not_an_application(name: str, found: object) -> str:
    if found is None:
        return f"{name} is None, not an ASGI application: does it return the application?"
    if _is_wsgi(found):
        return (
            f"{name} is a WSGI application ({type(found).__name__}): wrap it, for example by "
            "a2wsgi.WSGIMiddleware, or run it by replicas.command"
        )
    return (
        f"{name} is not an ASGI application, but of type {type(found).__name__}: name a FastAPI, Starlette "
        "or other ASGI 3 application, or a function without arguments that returns one"
    )


def _is_wsgi(found: object) -> bool:
    if hasattr(found, "wsgi_app"):  # Flask
        return True
    return callable(found) and list(_parameters(found))[:2] == ["environ", "start_response"]


def _parameters(found: Any) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(found).parameters)
    except (ValueError, TypeError):  # a callable of an extension module
        return {}


def required_arguments(found: Any) -> list[str]:
    """The names of the arguments that a callable cannot be called without."""
    return [
        name
        for name, parameter in _parameters(found).items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]


def _takes(found: Any, arguments: tuple[None, ...]) -> bool:
    try:
        inspect.signature(found).bind(*arguments)
    except (TypeError, ValueError):
        return False
    return True
