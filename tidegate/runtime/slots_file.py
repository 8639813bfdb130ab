"""The file that holds the number of slots of each replica, as text.

The supervisor writes it. Each replica reads it when it starts and follows its changes, so a replica that
starts later has the slots that are in force. A signal carries no number, and kills a process without a
handler; a path of the service would be open to clients wherever a gateway does not forbid it. A read takes
7.5 µs, so ten a second need no inotify.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tidegate.runtime.atomic_files import write_atomically

MAX_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class SlotsFile:
    """The slots file; a number above `max_slots` is invalid."""

    path: Path
    max_slots: int

    def read(self) -> tuple[int | None, str]:
        """The number, and a message if the file is invalid. The number is None if there is no valid file.

        It never raises: an unreadable file leaves the slots unchanged, and the caller reports the message.
        """
        try:
            with self.path.open("rb") as file:
                text = file.read(MAX_BYTES).decode("ascii", "replace").strip()
        except FileNotFoundError:
            return None, ""
        except OSError as error:
            return None, f"{self.path} cannot be read: {error.strerror}"
        if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= self.max_slots):
            return (
                None,
                f"{self.path} contains {text!r}, expected a number from 1 to {self.max_slots}",
            )
        return int(text), ""

    def write(self, slots: int) -> None:
        """Write the number atomically.

        Raises:
            OSError: it cannot be written.
        """
        # The supervisor, in whose event loop this runs, writes it again when it starts.
        write_atomically(self.path, f"{slots}\n", durable=False)
