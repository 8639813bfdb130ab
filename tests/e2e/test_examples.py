"""The examples, run by the commands of their own README, with Tidegate installed from its wheel."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.checkout import ROOT
from support.components import IN_CI, unavailable
from support.harnesses.page_reader import PageReader
from support.processes.wheel import Wheel

# Plain `make test` runs the tutorials, which serve a model and an application in the same way.
pytestmark = [pytest.mark.e2e, IN_CI]

EXAMPLES = ROOT / "examples"


@pytest.fixture
def reader(request: pytest.FixtureRequest, tmp_path: Path, wheel: Wheel) -> Iterator[PageReader]:
    """In a copy of the example, whose clients use the port of this stack."""
    folder = tmp_path / request.param
    shutil.copytree(EXAMPLES / request.param, folder)
    reader = PageReader(folder, wheel)
    for client in folder.glob("client.py"):
        client.write_text(reader.with_ports(client.read_text("utf-8")), encoding="utf-8")
    yield reader
    reader.close()


def follow(reader: PageReader) -> str:
    return reader.follow(reader.folder / "README.md")


@pytest.mark.parametrize("reader", ["regressor"], indirect=True)
def test_a_regressor(reader: PageReader) -> None:
    output = follow(reader)
    assert "'name': 'diabetes'" in output
    assert re.search(r"{'value': [\d.]+, 'interval': \[[\d.]+, [\d.]+\], 'prediction_id'", output)
    assert "{'accepted': 177, 'refused': 0, 'detail': []}" in output
    assert (reader.folder / "diabetes.html").stat().st_size > 10_000


@pytest.mark.parametrize("reader", ["lightgbm"], indirect=True)
def test_a_lightgbm_model(reader: PageReader) -> None:
    found = re.search(r"tumour: (\d+) of 228 correct", follow(reader))
    assert found
    assert int(found[1]) > 210


@pytest.fixture
def magika(wheel: Wheel) -> None:
    """The package that the example needs. Its requirements forbid our ONNX Runtime on Python 3.14, so that it
    cannot be in requirements.lock."""
    python = str(wheel.programs / "python")
    uv = str(Path(sysconfig.get_path("scripts")) / "uv")
    command = [uv, "pip", "install", "--quiet", "--no-deps", "--python", python, "magika==1.0.3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        unavailable(f"magika cannot be installed: {done.stderr}")


@pytest.mark.usefixtures("magika")
@pytest.mark.parametrize("reader", ["onnx"], indirect=True)
def test_an_onnx_file(reader: PageReader) -> None:
    output = follow(reader)
    assert "client.py: python" in output
    assert "POST /predict 200" in output


@pytest.mark.parametrize("reader", ["own-app"], indirect=True)
def test_an_application_of_ones_own(reader: PageReader) -> None:
    # tests/integration/stack/test_own_programs.py deploys under load, and kills a replica.
    output = follow(reader)
    assert '"queue":"billing"' in output
    assert "ticket filed" in output
    loaded = json.loads((reader.folder / "runs" / "latest" / "summary.json").read_text())
    assert loaded["failed"] == 0
    # One more: a command of the page fetches a reply.
    query = 'event.dataset:tidegate.request AND url.path:"/replies"'
    found = reader.run(f"tidegate search '{query}' --since 10m --limit 1 2>&1")
    assert f"{loaded['answered'] + 1} events match" in found
    lines = reader.run("tidegate search 'event.dataset:tidegate.decision' --since 10m --json")
    decisions = [json.loads(line)["tidegate"]["decision"] for line in lines.splitlines()]
    assert max(decision["desired"] for decision in decisions) > 1
