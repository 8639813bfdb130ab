"""A feedback processor of version 1 of the model `m`, and its counters."""

from __future__ import annotations

from typing import Final

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tidegate.monitoring.feedback.outcomes import Outcome, OutcomeRefusedError, Truth
from tidegate.monitoring.feedback.processor import FeedbackProcessor
from tidegate.settings import Drift

KEY: Final = b"a secret signing key"
TRACE, SPAN = "0" * 31 + "1", "0" * 15 + "2"
REQUEST: Final = (TRACE, SPAN)
AT_US: Final = 1_790_000_000_000_000


class Feedback:
    """Takes labels of predictions that were made at `AT_US`."""

    def __init__(self, truth: Truth, memory: int = 10) -> None:
        self.registry = CollectorRegistry()
        drift = Drift(label_accept_seconds=100, label_memory=memory)
        self._processor = FeedbackProcessor(
            "m", "1", truth, key=KEY, drift=drift, registry=self.registry
        )
        self.ids = self._processor.ids

    def accept(self, prediction_id: object, label: object, after: float = 20) -> Outcome:
        return self._processor.accept(prediction_id, label, AT_US + int(after * 1e6))

    def refused(self, prediction_id: object, label: object, after: float = 10) -> str:
        """The reason of a refusal, which is counted."""
        with pytest.raises(OutcomeRefusedError) as caught:
            self.accept(prediction_id, label, after)
        reason = caught.value.reason
        assert self.value("ml_feedback_refused_total", reason=reason) == 1
        return reason

    def scraped(self) -> str:
        return generate_latest(self.registry).decode()

    def value(self, name: str, version: str = "1", **labels: str) -> float | None:
        of = {"model": "m", "version": version}
        return self.registry.get_sample_value(name, of | labels)
