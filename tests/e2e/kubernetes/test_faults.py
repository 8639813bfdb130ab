"""No replica is taken because a signal, a component or the API server fails; and one is when the load falls.

All ways of scaling that the chart offers run side by side, in a cluster of their own. All faults, and what an
HPA and KEDA do without the chart: `make bench-kubernetes-faults`, docs/explanation/kubernetes-faults.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.kubernetes.faults import arrangement as arrangements
from support.kubernetes.faults.arrangement import Arrangement
from support.kubernetes.faults.cells import FAULTS, inject
from support.kubernetes.faults.columns import COLUMNS
from support.kubernetes.programs import require_built

pytestmark = pytest.mark.e2e

OURS = tuple(one for one in COLUMNS if one.ours)
# A fall of the load takes the first replica after 20 s at most in each way, so this long a fault would show.
SECONDS = 20.0
AFTER_SECONDS = 5.0
# One of each kind.
INJECTED = ("nan", "prometheus", "adapter", "autoscaler", "api")


@pytest.fixture(scope="module")
def arrangement(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arrangement]:
    require_built(*arrangements.programs(OURS))
    with arrangements.running(tmp_path_factory.mktemp("faults"), OURS) as started:
        yield started


@pytest.mark.parametrize("key", INJECTED)
def test_no_replica_is_taken_by(arrangement: Arrangement, key: str) -> None:
    fault = next(one for one in FAULTS if one.key == key)
    cells = inject(arrangement, fault, SECONDS, after=AFTER_SECONDS)
    assert {one.column: (one.before, one.lowest) for one in cells if not one.held} == {}
    assert all(one.before > 1 for one in cells)


def test_replicas_are_taken_when_the_load_falls(arrangement: Arrangement) -> None:
    fault = next(one for one in FAULTS if not one.harmful)
    cells = inject(arrangement, fault, fault.seconds(SECONDS), after=AFTER_SECONDS)
    assert [one.column for one in cells if one.held] == []
