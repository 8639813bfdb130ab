from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from tidegate.telemetry.propagation import Parent
from tidegate.telemetry.sampling import (
    CallerLimit,
    HeadSampling,
    Sampler,
    read_environment,
)

LOW_SPAN, HIGH_SPAN = "0" * 15 + "1", "f" * 16
LOW, HIGH = "0" * 31 + "1", "f" * 32
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}
GRPC = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}


@given(st.integers(1, 2**128 - 1), st.floats(0, 1))
def test_the_decision_by_trace_id_equals_that_of_opentelemetry(trace: int, ratio: float) -> None:
    theirs = TraceIdRatioBased(ratio).should_sample(None, trace, "").decision
    assert HeadSampling(ratio).should_sample(f"{trace:032x}", None) is (
        theirs is Decision.RECORD_AND_SAMPLE
    )


@pytest.mark.parametrize(
    ("sampler", "argument", "decisions", "ratio"),
    [
        # For a trace id within the ratio: without a parent, with a sampled and an unsampled parent.
        ("", "", (True, True, True), 0.05),
        ("always_on", "0.25", (True, True, True), 1.0),
        ("always_off", "", (False, False, False), 0.0),
        ("traceidratio", "0.25", (True, True, True), 0.25),
        ("parentbased_always_on", "", (True, True, False), 1.0),
        ("parentbased_always_off", "", (False, True, False), 0.0),
        ("parentbased_traceidratio", "", (True, True, False), 1.0),
        ("ParentBased_TraceIdRatio", " 0.5 ", (True, True, False), 0.5),
    ],
)
def test_the_standard_samplers_are_supported(
    sampler: str, argument: str, decisions: tuple[bool, ...], ratio: float
) -> None:
    environ = {"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": argument}
    head = read_environment(environ, sample_ratio=0.05).head
    assert tuple(head.should_sample(LOW, parent) for parent in (None, True, False)) == decisions
    assert head.ratio == ratio


@pytest.mark.parametrize(
    ("environ", "otlp"),
    [
        ({}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "  "}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, False),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "TRUE"}, False),
        ({**ENDPOINT, **GRPC, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}, True),
    ],
)
def test_spans_are_exported_only_if_configured(environ: dict[str, str], otlp: bool) -> None:
    assert read_environment(environ, 0.05).otlp is otlp
    assert not read_environment(environ, 0.05).problems


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"OTEL_TRACES_SAMPLER": "sometimes"}, "OTEL_TRACES_SAMPLER=sometimes"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"}, "_ARG=2"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "x"}, "_ARG=x"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "nan"}, "_ARG=nan"),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER=zipkin"),
        ({**ENDPOINT, **GRPC}, "PROTOCOL=grpc"),
    ],
)
def test_an_unsupported_value_is_reported_and_ignored(environ: dict[str, str], named: str) -> None:
    (problem,) = read_environment(environ, 0.05).problems
    assert named in problem


def test_the_sdk_can_be_disabled() -> None:
    assert read_environment({"OTEL_SDK_DISABLED": "true"}, 0.05).disabled
    assert not read_environment({"OTEL_SDK_DISABLED": "1"}, 0.05).disabled


@pytest.mark.parametrize(
    ("trace_id", "sampled", "within"),
    # The low trace id is within any ratio.
    [(HIGH, True, True), (HIGH, False, False), (LOW, False, True), (LOW, True, True)],
)
def test_beyond_the_limit_the_decision_of_a_caller_is_ignored(
    trace_id: str, sampled: bool, within: bool
) -> None:
    parent = Parent(trace_id, HIGH_SPAN, sampled)
    unlimited, limited = (Sampler(HeadSampling(0.05), CallerLimit(rate)) for rate in (1, 0))
    assert unlimited.should_sample(trace_id, parent, HIGH_SPAN, 0) is within
    beyond = [limited.should_sample(trace_id, parent, own, 0) for own in (LOW_SPAN, HIGH_SPAN)]
    assert beyond == [True, False]


def test_beyond_the_limit_a_caller_can_still_disable_sampling() -> None:
    sampler = Sampler(HeadSampling(1.0, drop_unsampled=True), CallerLimit(0))
    assert not sampler.should_sample(LOW, Parent(LOW, LOW_SPAN, sampled=False), LOW_SPAN, 0)
    assert sampler.should_sample(LOW, Parent(LOW, LOW_SPAN, sampled=True), LOW_SPAN, 0)


def test_a_mounted_app_and_a_request_without_a_parent_have_no_limit() -> None:
    sampler = Sampler(HeadSampling(0.5), CallerLimit(0))
    mounted = Parent(HIGH, LOW_SPAN, sampled=True, remote=False)
    assert sampler.should_sample(LOW, None, HIGH_SPAN, 0)
    assert sampler.should_sample(HIGH, mounted, HIGH_SPAN, 0)


@pytest.mark.parametrize(("rate", "burst"), [(10, 10), (2.5, 2), (0.1, 1), (0, 0)])
def test_the_limit_is_a_token_bucket_of_one_second(rate: float, burst: int) -> None:
    limit = CallerLimit(rate)
    sampled = 0
    for millisecond in range(60_000):
        if limit.allows(millisecond * 1_000_000):
            limit.count()
            sampled += 1
            if millisecond < 50:
                assert sampled <= burst
    assert 60 * rate <= sampled + 1 <= 60 * rate + burst + 2
