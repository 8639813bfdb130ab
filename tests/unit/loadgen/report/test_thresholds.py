"""Thresholds: what a person may write, and when a run keeps it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tidegate.loadgen.errors import UsageError
from tidegate.loadgen.report.replica_signals import Signals
from tidegate.loadgen.report.summary import Summary
from tidegate.loadgen.report.thresholds import parse_threshold
from tidegate.loadgen.send.record import Recording


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("p95<500ms", (False, "2.00 s")),
        ("p95 <= 2s", (True, "2.00 s")),
        ("p50<0.11s", (True, "100 ms")),
        ("p99<1m", (True, "2.00 s")),
        ("max>1999ms", (True, "2.00 s")),
        ("mean<1s", (True, "733 ms")),
        ("failed<=0", (True, "0")),
        ("failed==0", (True, "0")),
        ("failed_ratio<1%", (True, "0")),
        ("failed_ratio<0.01", (True, "0")),
        ("sent>=300", (True, "300")),
        ("answered>300", (False, "300")),
        ("heavy.p50<50ms", (False, "100 ms")),
        ("light.failed<=0", (True, "0")),
        ("p95_last_third<500ms", (True, "100 ms")),
        ("lag_p99<5ms", (True, "1.0 ms")),
        ("replicas_max>=2", (True, "2")),
        ("replicas_min<1", (False, "1")),
    ],
)
def test_a_threshold_is_judged_by_the_summary(
    recording: Recording,
    signals: Signals,
    summary_of: Callable[..., Summary],
    text: str,
    verdict: tuple[bool, str],
) -> None:
    result = parse_threshold(text).judge(summary_of(recording, signals))
    assert (result.text, (result.passed, result.shown)) == (text, verdict)


def test_what_is_not_known_is_not_kept(summary_of: Callable[..., Summary]) -> None:
    summary = summary_of(Recording([0.0], ["light"]))
    for text in ("p95<1s", "replicas_max>=0", "heavy.p95<1s", "failed_ratio<1"):
        result = parse_threshold(text).judge(summary)
        assert (result.passed, result.shown) == (
            False,
            "without a value (too many failed, or nothing was measured)",
        )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "needs the form"),
        ("p95", "needs the form"),
        ("p95<", "needs the form"),
        ("p95<fast", "needs the form"),
        ("p95<-1s", "needs the form"),
        ("p95<500", "p95 needs a time, like 500ms or 2s"),
        ("p95<5%", "p95 needs a time"),
        ("failed<1%", "failed needs a plain number"),
        ("failed_ratio<1s", "failed_ratio needs a share, like 0.01 or 1%"),
        ("p96<1s", "there is no metric 'p96': answered, failed"),
        ("huge.p95<1s", "there is no kind 'huge': light, medium, heavy"),
        ("heavy.replicas_max<2", "there is no metric 'replicas_max'"),
    ],
)
def test_what_is_no_threshold_is_named(text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_threshold(text)
    assert repr(text) in str(caught.value)
    assert told in str(caught.value)
