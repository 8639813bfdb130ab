"""`tidegate secrets init`: checks the machine, then creates missing secrets and folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tidegate.observability_files.paths import project_folder
from tidegate.observability_files.watermarks import Watermarks, read_watermarks
from tidegate.provision import preflight
from tidegate.provision.checkout_permissions import unreadable_problem
from tidegate.provision.commands import Report, warn
from tidegate.provision.errors import ProvisionError
from tidegate.provision.secrets import version_stamp
from tidegate.provision.secrets.folders import OwnedFolder, parse_owned_folder
from tidegate.provision.secrets.inventory import CONSUMERS, SECRETS
from tidegate.provision.secrets.storage import SecretStorage, distribute
from tidegate.provision.secrets.supplied import read_supplied
from tidegate.runtime.check_results import Result, failed, problem_or_ok


@dataclass(frozen=True, slots=True)
class SecretsInit:
    """The job of `tidegate secrets init`; without a data volume no version is checked.

    `supplied` is the folder of custom values; `own` are folders to create, for `parse_owned_folder`.
    """

    folder: Path
    supplied: Path
    own: Sequence[str]
    data_volume: Path | None
    stack_version: str

    def run(self, report: Report) -> None:
        """Check whether the stack can start, then create what is missing. The operation is idempotent.

        Raises:
            ProvisionError: the stack cannot start, with a line for each reason, or an item cannot be created.
        """
        folders = [parse_owned_folder(text) for text in self.own]
        checks = self._checks(folders)
        if problems := [one.text for one in checks if one.state == "failed"]:
            raise ProvisionError("\n".join(problems))
        for one in checks:
            if one.state == "warn":
                warn(f"warning: {one.text}")
        for line in self._apply(folders):
            report(line)

    def _checks(self, folders: Sequence[OwnedFolder]) -> list[Result]:
        marks, checkout = watermarks(), project_folder()
        data = [] if self.data_volume is None else [self.data_volume]
        paths = [self.folder, *(one.path for one in folders), *data]
        found = [
            *(failed("secrets", text) for text in read_supplied(self.supplied, SECRETS)[1]),
            problem_or_ok("files", unreadable_problem(checkout), str(checkout)),
            preflight.map_count_check(preflight.read_map_count()),
            preflight.memory_check(preflight.read_memory()),
            *(
                preflight.disk_check(path, free, marks)
                for path, free in preflight.free_by_disk(paths).items()
            ),
        ]
        if self.data_volume is not None:
            stamp = version_stamp.read_stamp(self.data_volume)
            problem = version_stamp.stamp_problem(stamp, self.stack_version)
            found.append(problem_or_ok("data volume", problem, stamp))
        return found

    def _apply(self, folders: Sequence[OwnedFolder]) -> Iterator[str]:
        values, _ = read_supplied(self.supplied, SECRETS)
        outcomes = distribute(SECRETS, values, SecretStorage(self.folder, CONSUMERS))
        for name, outcome in outcomes.items():
            yield f"{name}: {outcome}"
        for one in folders:
            yield f"{one.path}: {one.create()}"
        if self.data_volume is not None:
            previous = version_stamp.read_stamp(self.data_volume)
            if previous != self.stack_version:
                version_stamp.write_stamp(self.data_volume, self.stack_version)
                suffix = f", previously {previous}" if previous else ""
                yield f"{self.data_volume}: stamped with Elasticsearch {self.stack_version}{suffix}"


def watermarks() -> Watermarks:
    """The disk watermarks of Elasticsearch."""
    try:
        return read_watermarks()
    except (OSError, ValueError) as error:
        raise ProvisionError(str(error)) from error
