"""Applications by name: what is accepted, and one sentence for each thing that is wrong."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tidegate.serving import LoadError, load_app

ASGI = "async def app(scope, receive, send): ...\n"
Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes the modules of a person's folder, which is on the path until the test ends."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)

    def write_files(**modules: str) -> None:
        for name, text in modules.items():
            file = tmp_path.joinpath(*name.split("__")).with_suffix(".py")
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        importlib.invalidate_caches()

    yield write_files
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) is None or str(tmp_path) in str(
            sys.modules[name].__file__
        ):
            del sys.modules[name]


FACTORY = f"{ASGI}def make(): return app\n"
CLASS = "class Shop:\n    async def __call__(self, scope, receive, send): ...\n"
STARLETTE = "from starlette.applications import Starlette\napp = Starlette()\n"
FASTAPI = "from fastapi import FastAPI\nclass site:\n    app = FastAPI()\n"
PARTIAL = "from functools import partial\nasync def serve(shop, scope, receive, send): ...\n"


@pytest.mark.parametrize(
    ("text", "attribute"),
    [
        (ASGI, "app"),
        (FACTORY, "make"),
        (f"{CLASS}app = Shop()\n", "app"),
        (CLASS, "Shop"),
        (STARLETTE, "app"),
        (FASTAPI, "site.app"),
        (f"{PARTIAL}app = partial(serve, 1)\n", "app"),
        ("def app(scope, receive, send): return None\n", "app"),
        (f"{FACTORY}def with_default(settings=None): return app\n", "with_default"),
    ],
)
def test_an_application_or_a_factory_is_found(write: Write, text: str, attribute: str) -> None:
    write(shop__main=text)
    assert callable(load_app(f"shop.main:{attribute}"))


BROKEN: list[tuple[str, str, str]] = [
    *((ASGI, target, f'"{target}" does not name an application: write module:attribute, such as')
      for target in ("shop.main", "shop.main:", ":app", "shop/main.py:app", "main.py:app")),
    (ASGI, "shop.mian:app",
     r"there is no module shop\.mian in .*; set service.app_dir .* to the folder that has it"),
    (f"import torsch.nn\n{ASGI}", "shop.main:app",
     r"needs the package torsch, .* \(shop/main\.py:1\): install it by `.* -m pip install torsch`"),
    (f"import shop.modle\n{ASGI}", "shop.main:app",
     r"imports shop\.modle, which does not exist \(shop/main\.py:1"),
    (f"x = 1\nraise OSError('no disk')\n{ASGI}", "shop.main:app",
     r"shop\.main cannot be imported: OSError: no disk \(shop/main\.py:2\)"),
    ("def app(:\n", "shop.main:app",
     r"shop\.main cannot be imported: SyntaxError: .* \(shop/main\.py:1\)"),
    ("import sys\nsys.exit(3)\n", "shop.main:app",
     r"shop\.main exits while it is imported \(shop/main\.py:2\): move what only the command line"),
    (ASGI, "shop.main:ap", r"shop\.main has no attribute ap; did you mean app\?"),
    ("application = 3\n", "shop.main:app", r"shop\.main has no attribute app$"),
    ("app = {}\n", "shop.main:app",
     r"shop\.main:app is not an ASGI application, but of type dict: name a FastAPI, Starlette or other"),
    ("app = None\n", "shop.main:app", r"shop\.main:app is None, not an ASGI application"),
    ("def app(environ, start_response): ...\n", "shop.main:app",
     r"shop\.main:app is a WSGI application \(function\): wrap it, for example by a2wsgi"),
    ("class Flask:\n    wsgi_app = 1\n    def __call__(self, environ, start_response): ...\napp = Flask()\n",
     "shop.main:app", r"is a WSGI application \(Flask\)"),
    ("def make(settings, *, debug): ...\n", "shop.main:make",
     r"shop\.main:make is a factory that needs arguments \(settings, debug\); name a function"),
    ("def make(): ...\n", "shop.main:make",
     r"shop\.main:make\(\) is None, not an ASGI application: does it return the application\?"),
    ("async def make(): ...\n", "shop.main:make",
     r"the factory shop\.main:make is a coroutine function: make it a plain function"),
    ("def make():\n    return {}['model']\n", "shop.main:make",
     r"the factory shop\.main:make failed: KeyError: 'model' \(shop/main\.py:2\)"),
    ("def make():\n    import torsch\n", "shop.main:make",
     r"shop\.main:make needs the package torsch, which is not installed \(shop/main\.py:2\)"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "target", "sentence"), BROKEN)
def test_each_mistake_is_one_sentence(write: Write, text: str, target: str, sentence: str) -> None:
    write(shop__main=text)
    with pytest.raises(LoadError, match=sentence) as caught:
        load_app(target)
    assert "\n" not in str(caught.value)
