"""What a failed test of Ray Serve reports."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from support.ray.cluster import Cluster


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the last output of each program to the report of a failed test."""
    report = yield
    cluster = getattr(item, "funcargs", {}).get("cluster")
    if report.failed and isinstance(cluster, Cluster):
        for name in cluster.processes:
            report.sections.append((f"output of {name}", cluster.log(name)[-3000:]))
        # It has the decisions inside Ray.
        for path in cluster.folder.glob("ray/session_latest/logs/serve/controller_*.log"):
            report.sections.append((path.name, path.read_text(errors="replace")[-6000:]))
    return report
