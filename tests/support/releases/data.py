"""A data folder of a release, as this version reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.harnesses.event_files import events_in
from support.releases import KEEP_SECONDS, RETENTION
from tidegate.collector.run import deliver_now
from tidegate.settings import Settings, load
from tidegate.store import open_store
from tidegate.store.base import SearchRequest


@dataclass(frozen=True)
class ReleaseData:
    """The unpacked archive of a release."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def settings(self) -> Settings:
        return load(
            stack={"data_dir": self.data},
            collector={"keep_seconds": KEEP_SECONDS},
            store={"embedded": {"retention": RETENTION}},
        )

    @property
    def predictions(self) -> list[dict[str, Any]]:
        """What `/predict` answered."""
        return list(json.loads((self.folder / "predictions.json").read_text()))

    def written(self) -> set[str]:
        """The ids of all events in its files."""
        return {one["event"]["id"] for one in events_in(self.data / "logs")}

    def deliver(self) -> None:
        """Deliver, and then what the first delivery has said."""
        for _ in range(2):
            assert deliver_now(self.settings)

    def stored(self) -> list[str]:
        """The ids of all events that a search finds."""
        return [hit["event"]["id"] for hit in self.hits()]

    def hits(self, query: str = "") -> Iterator[dict[str, Any]]:
        with closing(open_store(self.settings, read_only=True)) as store:
            yield from store.search(SearchRequest(query=query, size=10_000)).hits


def assert_all_once(stored: list[str], release: ReleaseData) -> None:
    """What a search finds is every event of the files, once."""
    assert len(stored) == len(set(stored))
    assert set(stored) >= release.written()
