"""One real cluster for all tests of this folder, and what it says when one fails."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from support.kubernetes import cluster as clusters
from support.kubernetes import keda
from support.kubernetes.cluster import Cluster
from support.kubernetes.programs import require_built
from support.kubernetes.release import Store, start_store


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of one node with Tidegate's images. Each test module has a namespace of its own in it."""
    require_built(*clusters.PROGRAMS, *keda.PROGRAMS)
    with clusters.running(
        tmp_path_factory.mktemp("cluster"), images=clusters.TIDEGATE + keda.IMAGES
    ) as started:
        yield started


@pytest.fixture(scope="session")
def store(cluster: Cluster) -> Store:
    """An Elasticsearch in it, which starts while a chart is installed."""
    return start_store(cluster)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the state of the cluster below a failure."""
    report = yield
    used = getattr(item, "funcargs", {}).get("cluster")
    if report.failed and used is not None:
        report.sections.append(("cluster", used.state()))
    return report
