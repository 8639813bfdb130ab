"""Labels of two models mean the same if their digests are equal."""

from __future__ import annotations

from tidegate.monitoring.feedback.outcomes import Truth
from tidegate.monitoring.tasks.classification import LabelTruth
from tidegate.monitoring.tasks.regression import ValueTruth


def test_the_digest_depends_on_the_name_and_the_classes_or_the_target_and_its_unit() -> None:
    truths: list[Truth] = [
        LabelTruth("m"),
        LabelTruth("n"),
        LabelTruth("m", ("late", "on_time")),
        LabelTruth("m", ("on_time", "late")),
        LabelTruth("n", ("late", "on_time")),
        LabelTruth("m", ("late", "on_time", "early")),
        LabelTruth("m", (0, 1)),
        LabelTruth("m", ("0", "1")),
        ValueTruth("m"),
        ValueTruth("n"),
        ValueTruth("m", target="delay"),
        ValueTruth("m", target="delay", unit="min"),
        ValueTruth("m", target="delay", unit="s"),
        ValueTruth("m", unit="delay"),
    ]
    assert len({each.digest for each in truths}) == len(truths)
