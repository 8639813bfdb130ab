"""`tidegate secrets init`: look first, then make what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tidegate.provision import preflight, stamp
from tidegate.provision.folders import Owned
from tidegate.provision.given import read_given
from tidegate.provision.inventory import CONSUMERS, SECRETS, Consumer, Secret
from tidegate.provision.keeping import Keep, settle


@dataclass(frozen=True, slots=True)
class Initial:
    """What a first start needs.

    Attributes:
        folder: of the secrets.
        given: of values that a person gives.
        owned: folders to make and give away.
        data: Elasticsearch's data volume, None if it is not looked at.
        running: the version of Elasticsearch that the stack starts.
        table: the secrets.
        consumers: their readers.
    """

    folder: Path
    given: Path
    owned: Sequence[Owned] = ()
    data: Path | None = None
    running: str = ""
    table: Sequence[Secret] = SECRETS
    consumers: Mapping[str, Consumer] = field(default_factory=lambda: CONSUMERS)

    def problems(self) -> list[str]:
        """All that stands against a start; nothing is changed.

        Raises:
            ProvisionError: one of the places cannot be looked at.
        """
        found = [*read_given(self.given, self.table)[1]]
        found += preflight.disk_problems(self._places())
        if self.data is not None:
            problem = stamp.stamp_problem(stamp.read_stamp(self.data), self.running)
            found += [problem] if problem else []
        return found

    def make(self) -> Iterator[str]:
        """Make what is missing, and tell each thing in a line. The same again changes nothing.

        Raises:
            ProvisionError: something cannot be made.
        """
        values, _ = read_given(self.given, self.table)
        done = settle(self.table, values, Keep(self.folder, self.consumers))
        for name, outcome in done.items():
            yield f"{name}: {outcome}"
        for one in self.owned:
            yield f"{one.path}: {one.make()}"
        if self.data is not None:
            before = stamp.read_stamp(self.data)
            if before != self.running:
                stamp.write_stamp(self.data, self.running)
                was = f", before {before}" if before else ""
                yield f"{self.data}: of Elasticsearch {self.running}{was}"

    def _places(self) -> list[Path]:
        data = [] if self.data is None else [self.data]
        return [self.folder, *(one.path for one in self.owned), *data]
