"""A model file is converted once, before the replicas start, unless one of its sources has changed."""

from __future__ import annotations

import io
import operator
import os
import re
import sys
import threading
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import typer
from sklearn.datasets import load_wine
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tidegate.cli.model import import_model as command
from tidegate.service.artefacts import import_cache, import_model, import_report
from tidegate.service.artefacts.import_cache import find_model, import_digest
from tidegate.service.artefacts.import_model import main
from tidegate.service.model import artefact
from tidegate.service.model.artefact import ArtefactError
from tidegate.service.model.loaded_model import open_predictor
from tidegate.settings import Settings


def saved(folder: Path, name: str, model: Any) -> Path:
    file = folder / f"{name}.joblib"
    joblib.dump(model, file)
    return file


def wine() -> Any:
    data = load_wine()
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(data.data, data.target)


def test_importing_twice_gives_the_same_artefact(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = saved(tmp_path, "wine", wine()), tmp_path / "out"
    assert main([str(file), str(out)]) == 0
    before = (out / artefact.MANIFEST).stat().st_mtime_ns
    assert main([str(file), str(out)]) == 0
    assert (out / artefact.MANIFEST).stat().st_mtime_ns == before
    assert "model wine" in capsys.readouterr().out


def test_an_edited_file_rows_or_schema_give_another_artefact(tmp_path: Path) -> None:
    file = tmp_path / "m.joblib"
    digests = []
    for name, text in (
        ("m.joblib", "one"),
        ("m.csv", "a\n1\n"),
        ("schema.toml", 'task = "values"\n'),
        ("schema.toml", 'task = "regression"\n'),
        ("m.joblib", "two"),
    ):
        (tmp_path / name).write_text(text)
        digests.append(import_digest(file))
    assert len(set(digests)) == 5


def constant(value: float) -> Any:
    return LinearRegression().fit([[0.0], [1.0]], [value, value])


def answer(found: artefact.Artefact) -> float:
    predictor, _ = open_predictor(found)
    return float(predictor.predict(np.zeros((1, 1), dtype=np.float32))[0])


class Runs:
    """Runs a command in the process that loads it."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self.command,)


class WhileLoading:
    """A model, and a command that runs before it is loaded."""

    def __init__(self, command: str, model: Any) -> None:
        self.parts = [Runs(command), model]

    def __reduce__(self) -> tuple[object, tuple[object, int]]:
        return operator.getitem, (self.parts, 1)


async def test_a_file_that_is_replaced_before_it_is_read_is_not_cached_under_its_old_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, settings = saved(tmp_path, "price", constant(3)), Settings(stack={"data_dir": tmp_path})
    old, new = file.read_bytes(), saved(tmp_path, "new", constant(300)).read_bytes()
    run = import_cache._run

    async def replaced(*arguments: str) -> str:
        file.write_bytes(new)
        return await run(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(import_cache, "_run", replaced)
        with pytest.raises(ArtefactError, match="it changed while it was read"):
            await find_model(file, settings)
    assert answer(await find_model(file, settings)) == 300
    file.write_bytes(old)
    assert answer(await find_model(file, settings)) == 3


async def test_a_file_that_is_replaced_while_it_is_converted_changes_nothing_in_the_conversion(
    tmp_path: Path,
) -> None:
    file, new = tmp_path / "price.joblib", saved(tmp_path, "new", constant(300))
    content = new.read_bytes()
    saved(tmp_path, "price", WhileLoading(f"mv {new} {file}", constant(3)))
    digest, settings = import_digest(file), Settings(stack={"data_dir": tmp_path})
    found = await find_model(file, settings)
    assert file.read_bytes() == content
    assert (answer(found), found.manifest.inputs, found.path.name) == (3, digest, digest)
    assert answer(await find_model(file, settings)) == 300


async def test_a_cached_artefact_of_other_files_is_not_served(tmp_path: Path) -> None:
    settings = Settings(stack={"data_dir": tmp_path})
    other = await find_model(saved(tmp_path, "other", constant(300)), settings)
    file = saved(tmp_path, "price", constant(3))
    other.path.rename(other.path.with_name(import_digest(file)))
    with pytest.raises(ArtefactError, match=r"was not converted from .*price\.joblib as it is"):
        await find_model(file, settings)


def test_a_folder_of_another_model_is_neither_overwritten_nor_taken_for_this_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main([str(saved(tmp_path, "one", constant(3))), str(out)]) == 0
    assert main([str(saved(tmp_path, "two", constant(300))), str(out)]) == 1
    assert re.search(r"out is one \w+, which was made of other files", capsys.readouterr().err)
    assert answer(artefact.load(out)) == 3


class OutOfMemory:
    """Kills the process that loads it, after a warning, as the kernel does for lack of memory."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("echo '  warnings.warn(' >&2; kill -KILL $PPID",)


class Crash:
    """Crashes the process that loads it, as a library does that says why in a line of its own."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("echo bad tree >&2; kill -ABRT $PPID",)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ([1, 2, 3], "list is not a fitted classifier"),
        (OutOfMemory(), "was killed.* memory"),
        (Crash(), "bad tree"),
    ],
)
async def test_a_conversion_that_fails_or_is_killed_names_the_file_and_the_reason(
    tmp_path: Path, model: object, reason: str
) -> None:
    file = saved(tmp_path, "model", model)
    with pytest.raises(ArtefactError, match=rf"model\.joblib cannot be served: .*{reason}"):
        await find_model(file, Settings(stack={"data_dir": tmp_path}))


async def test_without_what_converts_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = saved(tmp_path, "wine", None)
    monkeypatch.setitem(sys.modules, "pandas", None)  # as if it were not installed
    with pytest.raises(ArtefactError, match=r"needs pandas, .* pip install 'tidegate\[train\]'"):
        await find_model(file, Settings(stack={"data_dir": tmp_path}))


def test_models_are_converted_before_the_replicas_start_and_a_shadow_may_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, shadow = tmp_path / "wine.joblib", tmp_path / "next.joblib"
    for name, path in (("MODEL__PATH", file), ("MODEL__SHADOW_PATH", shadow)):
        monkeypatch.setenv(f"TIDEGATE_{name}", str(path))
    monkeypatch.setenv("TIDEGATE_STACK__DATA_DIR", str(tmp_path / "data"))
    assert import_cache.main() == 1
    assert f"there is no model at {file}: save it there" in capsys.readouterr().err
    saved(tmp_path, "wine", wine())
    assert import_cache.main() == 0
    output = capsys.readouterr()
    assert f" in {tmp_path / 'data' / 'artefacts' / import_digest(file)}\n" in output.out
    assert f"there is no model at {shadow}" in output.err
    shadow.write_bytes(file.read_bytes() + b"\n")
    assert import_cache.main() == 0
    assert f" in {tmp_path / 'data' / 'artefacts' / import_digest(shadow)}\n" in (
        capsys.readouterr().out
    )
    monkeypatch.setenv("TIDEGATE_GATEWAY__PORT", "none")
    assert import_cache.main() == 2
    assert "gateway.port" in capsys.readouterr().err


def test_a_long_conversion_says_that_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said, lines = threading.Event(), list[str]()

    def convert(*_: object) -> None:
        said.wait()
        raise ArtefactError("it is empty")

    class Output(io.StringIO):
        def write(self, text: str) -> int:
            lines.append(text)
            said.set()
            return len(text)

    monkeypatch.setattr(import_report, "READING_SECONDS", 0.01)
    monkeypatch.setattr(import_model, "import_model", convert)
    monkeypatch.setattr(sys, "stderr", Output())
    with pytest.raises(typer.Exit) as ended:
        command(tmp_path / "big.joblib", tmp_path / "out")
    assert ended.value.exit_code == 1
    assert re.search(r"reading .*big\.joblib.*: \d s so far", lines[0])
    assert any(line.endswith("big.joblib cannot be served: it is empty\n") for line in lines)
