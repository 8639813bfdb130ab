"""The definition of an alert."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["critical", "warning"]


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert.

    Attributes:
        name: in CamelCase; its runbook is docs/runbooks/<name>.md.
        expression: PromQL; the alert is pending for each series in its result.
        seconds: time that the condition must last before the alert fires.
        severity: `critical` needs a response now, `warning` today.
        summary: one line; may contain {{ $labels.name }}.
        description: what it means for users; likewise.
    """

    name: str
    expression: str
    seconds: float
    severity: Severity
    summary: str
    description: str

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
