"""How long a program that died waits for its next start."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.stack.backoff import Backoff


@pytest.mark.parametrize(
    ("deaths", "delay"), [(1, 0.0), (2, 0.5), (3, 1.0), (4, 2.0), (8, 30.0), (100_000, 30.0)]
)
def test_it_starts_again_at_once_and_then_ever_later_up_to_a_cap(deaths: int, delay: float) -> None:
    backoff = Backoff(random=lambda: 0.0)
    for _ in range(min(deaths, 200) - 1):
        backoff.after(0.1)
    backoff.failures = deaths - 1
    assert backoff.after(0.1) == delay


def test_a_program_that_ran_stably_begins_anew() -> None:
    backoff = Backoff(random=lambda: 0.0, stable_seconds=60)
    assert [backoff.after(ran) for ran in (1, 1, 1, 59.9, 60, 1)] == [0, 0.5, 1, 2, 0, 0.5]


@given(
    ran=st.lists(st.floats(min_value=0, max_value=59), min_size=2, max_size=50),
    jitter=st.floats(min_value=0, max_value=1, exclude_max=True),
)
def test_jitter_takes_off_up_to_half_and_never_more(ran: list[float], jitter: float) -> None:
    plain, jittered = Backoff(random=lambda: 0.0), Backoff(random=lambda: jitter)
    for one in ran:
        full, part = plain.after(one), jittered.after(one)
        assert full / 2 <= part <= full <= 30
