"""Collectors of a release and of this version, in turn, on one Elasticsearch."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from support.checkout import ROOT
from support.components import IN_CI
from support.eventually import eventually
from support.processes.collector_process import CollectorFolder, stop
from support.processes.elasticsearch_server import ElasticsearchServer, lease
from support.releases import Checkout
from support.store_refresh import refresh
from tidegate.store import open_store
from tidegate.store.base import SearchRequest

pytestmark = [pytest.mark.integration, IN_CI]

EACH = 20


class Folder(CollectorFolder):
    """With a namespace of its own in the store."""

    def stored(self) -> list[int]:
        """The numbers of the events that a search finds, sorted; each as often as it is there."""
        query = f"tidegate.rows:* AND data_stream.namespace:{self.namespace}"
        with closing(open_store(self.settings, read_only=True)) as store:
            refresh(store)
            hits = store.search(SearchRequest(query=query, size=1000)).hits
        return sorted(hit["tidegate"]["rows"] for hit in hits)

    @contextmanager
    def collector(self, code: Path) -> Iterator[None]:
        """A collector of the code in a folder."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tidegate", "collector"],
            env={**os.environ, **self._environment, "PYTHONPATH": str(code)},
            cwd=code,
        )
        try:
            yield
        finally:
            assert stop(process) == 0


@pytest.fixture(scope="module")
def server() -> Iterator[ElasticsearchServer]:
    """One that no other module uses: the templates and the streams of a release would be in it."""
    with lease("--setting", "node.attr.use: upgrades", exclusive=True) as leased:
        yield leased


def test_in_turn_they_store_each_event_once(
    tmp_path: Path, code: Checkout, server: ElasticsearchServer
) -> None:
    store = {"kind": "elasticsearch", "elasticsearch": {"url": server.url}}
    folder = Folder(tmp_path, {"store": store}, uuid.uuid4().hex)
    versions = (code.folder, ROOT, code.folder, ROOT)
    for turn, version in enumerate(versions, 1):
        writer = folder.writer(f"flights-{turn}")
        folder.write(writer, range(EACH * (turn - 1), EACH * turn))
        writer.close()
        with folder.collector(version):
            eventually(lambda: len(folder.stored()) >= EACH * turn, f"turn {turn} is stored")  # noqa: B023
    assert folder.stored() == list(range(EACH * len(versions)))
