"""What the tests of Ray Serve share. A cluster takes half a minute to start, so a file has one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from support.ray.cluster import Cluster


@pytest.fixture(scope="module")
def short_folder() -> Iterator[Path]:
    """Ray's sockets are below it, and the path of a socket has at most 107 characters."""
    folder = Path(tempfile.mkdtemp(prefix="tg-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
