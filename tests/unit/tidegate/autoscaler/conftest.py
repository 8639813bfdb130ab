"""What the autoscaler's tests share: a place for its events."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from tidegate.autoscaler.journal import Journal
from tidegate.events import EventWriter, Origin


@dataclass
class Desk:
    """A journal, and what has been written into it."""

    folder: Path
    terminal: io.StringIO = field(default_factory=io.StringIO)
    clock_ns: Callable[[], int] = lambda: 1_700_000_000_000_000_000

    def __post_init__(self) -> None:
        self.writer = EventWriter(self.folder, "autoscaler")
        origin = Origin("flights", "1.2.3", "test", "autoscaler", "default")
        self.journal = Journal(self.writer, origin, self.clock_ns, self.terminal)

    def events(self, dataset: str) -> list[dict[str, Any]]:
        lines = [
            orjson.loads(line)
            for path in sorted(self.folder.iterdir())
            for line in path.read_bytes().splitlines()
        ]
        return [line for line in lines if line["event"]["dataset"] == f"tidegate.{dataset}"]

    def said(self) -> list[str]:
        return [event["message"] for event in self.events("app")]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "logs")
    yield desk
    desk.writer.close()
