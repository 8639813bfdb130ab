"""How test modules share the Elasticsearch servers of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.processes import elasticsearch_server
from support.processes.elasticsearch_server import ElasticsearchServer, begin_run, end_run, lease

Folders = list[Path]


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folders]:
    """A run whose servers are folders; those that were stopped."""
    folders: Folders = []

    def start(options: tuple[str, ...]) -> ElasticsearchServer:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        return ElasticsearchServer(9200, folder, options)

    monkeypatch.setattr(elasticsearch_server, "_start", start)
    monkeypatch.setattr(ElasticsearchServer, "stop", lambda self: folders.append(self.folder))
    monkeypatch.setenv(elasticsearch_server.VARIABLE, "")  # restores that of the real run
    begin_run()
    yield folders
    if os.environ.get(elasticsearch_server.VARIABLE):
        end_run()


def test_shared_leases_have_one_server_and_an_exclusive_lease_has_another(
    stopped: Folders,
) -> None:
    with (
        lease(exclusive=False) as one,
        lease(exclusive=False) as same,
        lease(exclusive=True) as other,
        lease(exclusive=True) as third,
    ):
        assert one == same
        assert len({one.folder, other.folder, third.folder}) == 3


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_released_server_is_used_again(stopped: Folders, exclusive: bool) -> None:
    with lease(exclusive=True) as first:
        pass
    with lease(exclusive=exclusive) as second:
        assert second == first
    assert stopped == []


def test_a_server_has_the_options_that_were_asked_for(stopped: Folders) -> None:
    with lease(exclusive=True) as plain:
        pass
    with lease("--security", exclusive=True) as guarded:
        assert guarded.folder != plain.folder
        assert guarded.options == ("--security",)


def test_the_end_of_the_run_stops_every_server(stopped: Folders) -> None:
    with lease(exclusive=True) as one, lease(exclusive=True) as other:
        pass
    end_run()
    assert set(stopped) == {one.folder, other.folder}
    assert not one.folder.exists()
