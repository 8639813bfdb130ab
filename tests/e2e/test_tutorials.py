"""The tutorials "your own model" and "your own application", run command by command as they are written,
with Tidegate installed from its wheel.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.checkout import ROOT
from support.harnesses.page_reader import PageReader
from support.processes.wheel import Wheel, working_directory

pytestmark = pytest.mark.e2e

TUTORIALS = ROOT / "docs" / "tutorials"


@pytest.fixture
def reader(tmp_path: Path, wheel: Wheel) -> Iterator[PageReader]:
    with working_directory(tmp_path) as folder:
        reader = PageReader(folder, wheel)
        yield reader
        reader.close()


def test_your_own_model(reader: PageReader) -> None:
    output = reader.follow(TUTORIALS / "own-model.md")
    assert "'name': 'wine'" in output
    assert "{'accepted': 178, 'refused': 0, 'detail': []}" in output
    assert "178 labels" in output
    assert (reader.folder / "wine.html").stat().st_size > 10_000


def test_your_own_application(reader: PageReader) -> None:
    output = reader.follow(TUTORIALS / "own-application.md")
    assert "traceresponse: 00-4bf92f3577b34da6a3ce929d0e0e4736-" in output
    assert "GET /cakes/{name} 200" in output
    assert "GET /cakes/{name} 404" in output
    assert "bake" in output
    assert "every replica serves shop:app (code of " in output
    assert '"cake":"apple"' in output.replace(" ", "")
    assert "replica stop" in output
