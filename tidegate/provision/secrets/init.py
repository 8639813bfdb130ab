"""`tidegate secrets init`: checks the machine, then creates missing secrets and folders for their users."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tidegate.observability_files.paths import project_folder
from tidegate.observability_files.watermarks import Watermarks, read_watermarks
from tidegate.provision import preflight
from tidegate.provision.checkout_permissions import unreadable_problem
from tidegate.provision.commands import Report, warn
from tidegate.provision.errors import ProvisionError, reason
from tidegate.provision.secrets import version_stamp
from tidegate.provision.secrets.inventory import APPLICATION_UID, CONSUMERS, SECRETS, Secret
from tidegate.provision.secrets.storage import SecretStorage, distribute
from tidegate.runtime.check_results import Result, failed, problem_or_ok

_OWNED_FOLDER: Final = re.compile(r"(?P<path>/.*?)(=(?P<uid>\d{1,9}):(?P<gid>\d{1,9}))?")


@dataclass(frozen=True, slots=True)
class OwnedFolder:
    """A folder and its owner."""

    path: Path
    uid: int = APPLICATION_UID
    gid: int = APPLICATION_UID

    def create(self) -> str:
        """Create the folder and set its owner; its contents stay unchanged."""
        try:
            created = not self.path.exists()
            self.path.mkdir(parents=True, exist_ok=True)
            status = self.path.stat()
            if (status.st_uid, status.st_gid) == (self.uid, self.gid):
                return "created" if created else "unchanged"
            os.chown(self.path, self.uid, self.gid)
        except OSError as error:
            raise ProvisionError(
                f"{self.path} cannot be created with owner {self.uid}:{self.gid}: {reason(error)}"
            ) from error
        return f"owner set to {self.uid}:{self.gid}"


def parse_owned_folder(text: str) -> OwnedFolder:
    """Parse `PATH` or `PATH=UID:GID`; the default owner is the user of Tidegate's containers."""
    match = _OWNED_FOLDER.fullmatch(text)
    if match is None:
        raise ProvisionError(f"--own {text}: must be an absolute PATH or PATH=UID:GID")
    path = Path(match["path"])
    return (
        OwnedFolder(path)
        if match["uid"] is None
        else OwnedFolder(path, int(match["uid"]), int(match["gid"]))
    )


def read_supplied(folder: Path, table: Sequence[Secret]) -> tuple[dict[str, str], list[str]]:
    """The values by name, and a sentence for each invalid file.

    A missing folder supplies nothing. Names that begin with a dot are ignored: a folder under version control
    has a `.gitignore`.
    """
    known = {secret.name: secret for secret in table}
    values: dict[str, str] = {}
    problems: list[str] = []
    try:
        files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return {}, []
    except OSError as error:
        return {}, [f"{folder} cannot be read: {reason(error)}"]
    for path in files:
        secret = known.get(path.name)
        if secret is None:
            problems.append(f"{path}: unknown secret; expected one of {', '.join(known)}")
            continue
        try:
            with path.open("rb") as file:
                # Up to four bytes per character, a newline, and one byte more to detect a longer value.
                raw = file.read(4 * secret.max_length + 2)
        except OSError as error:
            problems.append(f"{path} cannot be read: {reason(error)}")
            continue
        value = raw.decode("utf-8", "replace").removesuffix("\n")
        if problem := value_problem(value, secret):
            problems.append(f"{path}: {problem}")
        else:
            values[secret.name] = value
    return values, problems


def value_problem(value: str, secret: Secret) -> str:
    """Why a value is invalid; empty if it is valid. The text does not contain the value."""
    if not value:
        return "is empty"
    # Values appear in HTTP headers, YAML files and environment variables; all of these allow such characters.
    if not all("!" <= character <= "~" for character in value):
        return "must be one line of printable ASCII characters without a space"
    if "$" in value:
        return "must not contain `$`: Grafana, Kibana and Logstash would expand it as a variable"
    if len(value) < secret.min_length:
        return f"is too short: {len(value)} characters, the minimum is {secret.min_length}"
    if len(value) > secret.max_length:
        return f"is too long: the maximum is {secret.max_length} characters"
    return ""


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
