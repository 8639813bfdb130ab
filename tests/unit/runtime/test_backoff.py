"""The delays after consecutive failures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.runtime.backoff import Backoff


@pytest.mark.parametrize(
    ("deaths", "delay"), [(1, 0.0), (2, 0.5), (3, 1.0), (4, 2.0), (8, 30.0), (100_000, 30.0)]
)
def test_the_first_failure_is_retried_immediately_and_the_delays_double_to_the_maximum(
    deaths: int, delay: float
) -> None:
    backoff = Backoff(random=lambda: 0.0)
    for _ in range(min(deaths, 200) - 1):
        backoff.failed(0.1)
    backoff.failures = deaths - 1
    assert backoff.failed(0.1) == delay


def test_a_process_that_ran_stably_has_recovered() -> None:
    backoff = Backoff(random=lambda: 0.0, stable_seconds=60)
    assert [backoff.failed(ran) for ran in (1, 1, 1, 59.9, 60, 1)] == [0, 0.5, 1, 2, 0, 0.5]


@given(
    ran=st.lists(st.floats(min_value=0, max_value=59), min_size=2, max_size=50),
    jitter=st.floats(min_value=0, max_value=1, exclude_max=True),
)
def test_jitter_reduces_a_delay_by_at_most_half(ran: list[float], jitter: float) -> None:
    plain, jittered = Backoff(random=lambda: 0.0), Backoff(random=lambda: jitter)
    for one in ran:
        full, part = plain.failed(one), jittered.failed(one)
        assert full / 2 <= part <= full <= 30
