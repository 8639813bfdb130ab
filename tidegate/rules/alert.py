"""The definition of an alert."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["critical", "warning"]


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert."""

    name: str  # in CamelCase; its runbook is docs/runbooks/<name>.md
    expression: str  # PromQL; the alert is pending for each series in its result
    seconds: float  # time that the condition must last before the alert fires
    severity: Severity  # `critical` needs a response now, `warning` today
    summary: str  # one line; may contain {{ $labels.name }}
    description: str  # what it means for users; likewise

    @property
    def runbook(self) -> str:
        """The path of its runbook in the repository."""
        return f"docs/runbooks/{self.name}.md"

    @property
    def annotations(self) -> dict[str, str]:
        """The annotations of the rule; the labels of a series are placeholders in them."""
        return {
            "summary": self.summary,
            "description": self.description,
            "runbook": self.runbook,
        }
