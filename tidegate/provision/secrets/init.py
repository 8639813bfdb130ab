"""`tidegate secrets init`: look first, then make what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tidegate.observability_files.paths import project_folder
from tidegate.observability_files.watermarks import Watermarks, read_watermarks
from tidegate.provision import preflight
from tidegate.provision.problems import ProvisionError
from tidegate.provision.readable import unreadable_problem
from tidegate.provision.secrets import version_stamp
from tidegate.provision.secrets.folders import Owned
from tidegate.provision.secrets.inventory import CONSUMERS, SECRETS, Consumer, Secret
from tidegate.provision.secrets.storage import Keep, settle
from tidegate.provision.secrets.supplied import read_given


@dataclass(frozen=True, slots=True)
class Initial:
    """What a first start needs.

    Attributes:
        folder: of the secrets.
        given: of values that a person gives.
        owned: folders to make and give away.
        data: Elasticsearch's data volume, None if it is not looked at.
        running: the version of Elasticsearch that the stack starts.
        checkout: what the containers read, or its copy in an image.
        table: the secrets.
        consumers: their readers.
    """

    folder: Path
    given: Path
    owned: Sequence[Owned] = ()
    data: Path | None = None
    running: str = ""
    checkout: Path = field(default_factory=project_folder)
    table: Sequence[Secret] = SECRETS
    consumers: Mapping[str, Consumer] = field(default_factory=lambda: CONSUMERS)

    def problems(self) -> list[str]:
        """All that stands against a start; nothing is changed.

        Raises:
            ProvisionError: one of the places cannot be looked at.
        """
        marks = watermarks()
        found = [
            *read_given(self.given, self.table)[1],
            unreadable_problem(self.checkout),
            *(
                preflight.disk_problem(path, free, marks)
                for path, free in preflight.free_by_disk(self._places()).items()
            ),
        ]
        if self.data is not None:
            found.append(
                version_stamp.stamp_problem(version_stamp.read_stamp(self.data), self.running)
            )
        return [problem for problem in found if problem]

    def warnings(self) -> list[str]:
        """What does not stop a start and may hurt later.

        Raises:
            ProvisionError: one of the places cannot be examined.
        """
        marks = watermarks()
        found = [
            preflight.map_count_warning(preflight.read_map_count()),
            preflight.memory_warning(preflight.read_memory()),
            *(
                preflight.disk_warning(path, free, marks)
                for path, free in preflight.free_by_disk(self._places()).items()
            ),
        ]
        return [warning for warning in found if warning]

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
            before = version_stamp.read_stamp(self.data)
            if before != self.running:
                version_stamp.write_stamp(self.data, self.running)
                was = f", before {before}" if before else ""
                yield f"{self.data}: of Elasticsearch {self.running}{was}"

    def _places(self) -> list[Path]:
        data = [] if self.data is None else [self.data]
        return [self.folder, *(one.path for one in self.owned), *data]


def watermarks() -> Watermarks:
    """Elasticsearch's disk watermarks.

    Raises:
        ProvisionError: their file is missing, or wrong.
    """
    try:
        return read_watermarks()
    except (OSError, ValueError) as error:
        raise ProvisionError(str(error)) from error
