"""The file that holds the slots of a replica: one number in text.

Whoever may set them (the supervisor) writes it, each replica reads it when it starts and follows it while
it runs. So a replica that is started later, or again, has the slots that are in force.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

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
        """Put a number in: the whole of it, or the one that was there before.

        Raises:
            OSError: it cannot be written.
        """
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            beside.write_text(f"{slots}\n", encoding="ascii")
            beside.replace(self.path)
        finally:
            beside.unlink(missing_ok=True)
