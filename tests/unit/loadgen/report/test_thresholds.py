"""Thresholds: parsing and evaluation."""

from __future__ import annotations

import pytest

from support.samples.load_run import recorded, summary_of, unanswered
from tidegate.loadgen.errors import UsageError
from tidegate.loadgen.report.replica_signals import Signals
from tidegate.loadgen.report.thresholds import parse_threshold


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
def test_a_threshold_is_evaluated_on_the_summary(text: str, verdict: tuple[bool, str]) -> None:
    result = parse_threshold(text).evaluate(summary_of(recorded()))
    assert (result.text, (result.passed, result.shown)) == (text, verdict)


@pytest.mark.parametrize("text", ["p95<1s", "replicas_max>=0", "heavy.p95<1s", "failed_ratio<1"])
def test_a_threshold_without_a_value_fails(text: str) -> None:
    result = parse_threshold(text).evaluate(summary_of(unanswered(), Signals()))
    assert not result.passed
    assert result.shown == "no value (too many requests failed, or there are no data)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected [KIND.]METRIC<VALUE"),
        ("p95", "expected [KIND.]METRIC<VALUE"),
        ("p95<", "expected [KIND.]METRIC<VALUE"),
        ("p95<fast", "expected [KIND.]METRIC<VALUE"),
        ("p95<-1s", "expected [KIND.]METRIC<VALUE"),
        ("p95<500", "p95 requires a duration such as 500ms or 2s"),
        ("p95<5%", "p95 requires a duration"),
        ("failed<1%", "failed requires a plain number"),
        ("failed_ratio<1s", "failed_ratio requires a fraction such as 0.01 or 1%"),
        ("p96<1s", "unknown metric 'p96'; expected one of answered, failed"),
        ("huge.p95<1s", "unknown kind 'huge'; expected one of light, medium, heavy"),
        ("heavy.replicas_max<2", "unknown metric 'replicas_max'"),
    ],
)
def test_an_invalid_threshold_is_an_error(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_threshold(text)
    assert repr(text) in str(caught.value)
    assert message in str(caught.value)
