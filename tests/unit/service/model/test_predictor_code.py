"""The sentences about a predictor that cannot be loaded, or that declares something invalid."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidegate.service.artefacts.import_predictor import main
from tidegate.service.model.artefact import ArtefactError, load
from tidegate.service.model.predictor_code import import_from, load_predictor

CLASS = "class Price:\n    def predict(self, rows):\n        return rows\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for the module `priced`."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    sys.modules.pop("priced", None)


BROKEN = {
    "no module": (CLASS, "pricd:Price", "there is no module pricd in "),
    "no attribute": (CLASS, "priced:Prize", "priced has no attribute Prize; did you mean Price"),
    "raises": ("1 / 0\n", "priced:Price", r"cannot be imported: ZeroDivisionError.*priced.py:1\)"),
    "package": (
        "import shop_weights\n",
        "priced:Price",
        r"needs the package shop_weights, which is not installed \(.*priced.py:1\): install it",
    ),
    "no predict": ("class Price:\n    pass\n", "priced:Price", "a class with a method `predict`"),
    "instance": (f"{CLASS}price = Price()\n", "priced:price", "a class with a method `predict`"),
    "arguments": (
        "class Price:\n    def __init__(self, path): pass\n    def predict(self, rows): pass\n",
        "priced:Price",
        r"priced:Price needs arguments \(path\): give them defaults",
    ),
    "constructor": (
        CLASS + "    def __init__(self): raise OSError('no disk')\n",
        "priced:Price",
        r"the constructor of priced:Price failed: OSError: no disk \(.*priced.py:4\)",
    ),
    "load": (
        CLASS + "    def load(self): raise OSError('no weights')\n",
        "priced:Price",
        r"load\(\) of priced:Price failed: OSError: no weights \(.*priced.py:4\)",
    ),
    "coroutine": (
        "class Price:\n    async def predict(self, rows): pass\n",
        "priced:Price",
        "predict of priced:Price is a coroutine function: make it a plain function",
    ),
    "predict with arguments": (
        "class Price:\n    def predict(self, rows, scale): pass\n",
        "priced:Price",
        "predict of priced:Price needs the arguments rows, scale; it gets one",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_code_that_cannot_be_loaded_is_one_sentence(folder: Path, case: str) -> None:
    source, target, sentence = BROKEN[case]
    (folder / "priced.py").write_text(source)
    import_from(folder)
    with pytest.raises(ArtefactError) as refused:
        load_predictor(target)
    assert re.search(f"^model.path: .*{sentence}", str(refused.value)), str(refused.value)


DECLARED = {
    "task": (
        "task = 'ranking'",
        "`task` of .* should be one of classification, regression, values",
    ),
    "classes": ("task = 'classification'", "needs `classes`: set it to a list of at least two"),
    "one class": ("task, classes = 'classification', ['a']", "list of at least two labels"),
    "name": ("name = 'a b'", "`name`: "),
    "features": ("features = ['x']", "`features.0`: Input should be a valid dict"),
    "feature": (
        "features = [{'name': 'x', 'minimun': 0}]",
        "unknown key `features.0.minimun`; expected name, kind",
    ),
    "category": ("features = [{'name': 'x', 'kind': 'category'}]", "needs `categories`"),
    "reference": ("reference = 'r.json'", "`reference`: there is no file .*r.json"),
}


@pytest.mark.parametrize("case", DECLARED)
def test_an_invalid_declaration_is_one_sentence(
    folder: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    declared, sentence = DECLARED[case]
    (folder / "priced.py").write_text(f"{CLASS}    {declared}\n")
    assert main(["priced:Price", str(folder / "artefacts"), str(folder)]) == 1
    found = capsys.readouterr().err
    assert re.search(sentence, found), found
    assert found.count("\n") == 1


def test_the_artefact_has_what_the_class_declares(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    features = "[{'name': 'x', 'minimum': 3}, {'name': 'c', 'categories': ['a', 'b']}]"
    (folder / "priced.py").write_text(f"print('hello')\n{CLASS}    features = {features}\n")
    paths = []
    for _ in range(2):
        assert main(["priced:Price", str(folder / "artefacts"), str(folder)]) == 0
        paths.append(capsys.readouterr().out)
    assert paths[0] == paths[1]
    manifest = load(Path(paths[0].strip())).manifest
    assert (manifest.name, manifest.task, manifest.predictor) == ("Price", "values", "priced:Price")
    assert [(each.name, each.example) for each in manifest.features] == [("x", 3), ("c", "a")]
    assert re.fullmatch("[0-9a-f]{12}", manifest.version)


def test_the_version_follows_the_modules_that_the_predictor_imports(folder: Path) -> None:
    """Each import is a process of its own, as in a start."""
    package = folder / "shop"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "price.py").write_text(f"import rates\nfrom shop import tax\n{CLASS}")
    for file in (package / "tax.py", folder / "rates.py", folder / "unused.py"):
        file.touch()

    def version() -> str:
        command = [sys.executable, "-P", "-m", "tidegate.service.artefacts.import_predictor"]
        arguments = ["shop.price:Price", str(folder / "artefacts"), str(folder)]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
        return load(Path(done.stdout.strip())).manifest.version

    versions = [version()]
    for file in (package / "tax.py", folder / "rates.py"):
        file.write_text("RATE = 2\n")
        versions.append(version())
    (folder / "unused.py").write_text("RATE = 2\n")
    assert version() == versions[-1]
    assert len(set(versions)) == 3
