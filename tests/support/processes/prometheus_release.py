"""A release of Prometheus that the tests run against."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from support.commands import output


@dataclass(frozen=True)
class Release:
    """A Prometheus and its promtool."""

    prometheus: Path
    promtool: Path

    def check(self, *arguments: str, cwd: Path) -> None:
        """Run promtool; its output is the failure's text."""
        output(self.promtool, *arguments, cwd=cwd)
