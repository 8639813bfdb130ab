"""`tidegate secrets init`: checks the machine, then creates missing secrets and folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tidegate.observability_files.paths import project_folder
from tidegate.observability_files.watermarks import Watermarks, read_watermarks
from tidegate.provision import preflight
from tidegate.provision.checkout_permissions import unreadable_problem
from tidegate.provision.errors import ProvisionError
from tidegate.provision.secrets import version_stamp
from tidegate.provision.secrets.folders import OwnedFolder
from tidegate.provision.secrets.inventory import CONSUMERS, SECRETS
from tidegate.provision.secrets.storage import SecretStorage, distribute
from tidegate.provision.secrets.supplied import read_supplied
from tidegate.runtime.check_results import Result, failed, problem_or_ok


@dataclass(frozen=True, slots=True)
class SecretsInit:
    """The job of `tidegate secrets init`.

    Attributes:
        folder: the folder of the secrets.
        supplied: the folder of custom values.
        owned_folders: folders to create, with their owners.
        data_volume: Elasticsearch's data volume; None to skip the version check.
        stack_version: the version of Elasticsearch that the stack starts.
    """

    folder: Path
    supplied: Path
    owned_folders: Sequence[OwnedFolder] = ()
    data_volume: Path | None = None
    stack_version: str = ""

    def checks(self) -> list[Result]:
        """Whether the stack can start; changes nothing.

        Raises:
            ProvisionError: a path cannot be examined.
        """
        marks, checkout = watermarks(), project_folder()
        found = [
            *(failed("secrets", text) for text in read_supplied(self.supplied, SECRETS)[1]),
            problem_or_ok("files", unreadable_problem(checkout), str(checkout)),
            preflight.map_count_check(preflight.read_map_count()),
            preflight.memory_check(preflight.read_memory()),
            *(
                preflight.disk_check(path, free, marks)
                for path, free in preflight.free_by_disk(self._paths()).items()
            ),
        ]
        if self.data_volume is not None:
            stamp = version_stamp.read_stamp(self.data_volume)
            problem = version_stamp.stamp_problem(stamp, self.stack_version)
            found.append(problem_or_ok("data volume", problem, stamp))
        return found

    def apply(self) -> Iterator[str]:
        """Create what is missing; yields a line for each item. The operation is idempotent.

        Raises:
            ProvisionError: an item cannot be created.
        """
        values, _ = read_supplied(self.supplied, SECRETS)
        outcomes = distribute(SECRETS, values, SecretStorage(self.folder, CONSUMERS))
        for name, outcome in outcomes.items():
            yield f"{name}: {outcome}"
        for one in self.owned_folders:
            yield f"{one.path}: {one.create()}"
        if self.data_volume is not None:
            previous = version_stamp.read_stamp(self.data_volume)
            if previous != self.stack_version:
                version_stamp.write_stamp(self.data_volume, self.stack_version)
                suffix = f", previously {previous}" if previous else ""
                yield f"{self.data_volume}: stamped with Elasticsearch {self.stack_version}{suffix}"

    def _paths(self) -> list[Path]:
        data = [] if self.data_volume is None else [self.data_volume]
        return [self.folder, *(one.path for one in self.owned_folders), *data]


def watermarks() -> Watermarks:
    """The disk watermarks of Elasticsearch.

    Raises:
        ProvisionError: their file is missing or invalid.
    """
    try:
        return read_watermarks()
    except (OSError, ValueError) as error:
        raise ProvisionError(str(error)) from error
