"""The policy with a fixed number of replicas."""

import pytest

from tidegate.autoscaler.policies.static import StaticParameters, static
from tidegate.autoscaler.types import Signals


def seen(desired: int) -> Signals:
    return Signals(None, None, None, None, desired, desired, desired, None, None)


@pytest.mark.parametrize(("replicas", "number"), [(0, 9), (4, 4), (20, 9), (1, 2)])
def test_the_number_is_fixed_within_the_bounds(replicas: int, number: int) -> None:
    decide = static(StaticParameters(2, 9, replicas))
    assert decide({}, seen(3), 5.0).desired == number
    assert decide({}, seen(number), 5.0).reason == "hold"
