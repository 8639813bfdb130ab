"""Where the code of a predictor is imported from, and what it runs in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tidegate.settings import Settings


@dataclass(frozen=True, slots=True)
class Hosting:
    """How a predictor is run."""

    app_dir: Path = Path()
    """The folder to import it from."""
    run: Literal["thread", "process"] = "thread"
    """In threads of this process, or in processes of its own."""
    processes: int = 1
    wait_seconds: float = 2.0
    """How long a request waits for one of the processes while some restart."""

    @classmethod
    def of(cls, settings: Settings) -> Hosting:
        """As the settings say: one process for each slot that the replica may get."""
        return cls(
            settings.service.app_dir,
            settings.model.run,
            settings.slots.effective_max,
            settings.slots.wait_seconds,
        )
