"""Where the code of a predictor is imported from, and what it runs in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tidegate.settings import Settings


@dataclass(frozen=True, slots=True)
class Hosting:
    """How a predictor is run.

    Attributes:
        app_dir: the folder to import it from.
        run: in threads of this process, or in processes of its own.
        processes: the number of such processes.
        wait_seconds: how long a request waits for one of them while some restart.
    """

    app_dir: Path = Path()
    run: Literal["thread", "process"] = "thread"
    processes: int = 1
    wait_seconds: float = 2.0

    @classmethod
    def of(cls, settings: Settings) -> Hosting:
        """As the settings say: one process for each slot that the replica may get."""
        return cls(
            settings.service.app_dir,
            settings.model.run,
            settings.slots.effective_max,
            settings.slots.wait_seconds,
        )
