"""The file that holds the number of slots of each replica, as text.

The supervisor writes it. Each replica reads it when it starts and follows its changes, so a replica that
starts later has the slots that are in force.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tidegate.runtime.atomic_files import write_atomically

MOST_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class SlotsFile:
    """The file.

    Attributes:
        path: where it is.
        most: a larger number is not taken.
    """

    path: Path
    most: int

    def read(self) -> tuple[int | None, str]:
        """The number, and what is wrong with the file in words; None if there is no file, or a bad one.

        Never an error: what cannot be read changes nothing, but is told.
        """
        try:
            with self.path.open("rb") as file:
                text = file.read(MOST_BYTES).decode("ascii", "replace").strip()
        except FileNotFoundError:
            return None, ""
        except OSError as error:
            return None, f"{self.path} cannot be read: {error.strerror}"
        if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= self.most):
            return None, f"{self.path} holds {text!r}, which is no number from 1 to {self.most}"
        return int(text), ""

    def write(self, slots: int) -> None:
        """Write the number atomically.

        Raises:
            OSError: it cannot be written.
        """
        # The supervisor, in whose event loop this runs, writes it again when it starts.
        write_atomically(self.path, f"{slots}\n", durable=False)
