"""The Compose stack, once for all its tests."""

from __future__ import annotations

import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest

from support.ports import free_ports
from support.processes.compose_stack import FILES, PUBLISHED, Compose, require_images


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the last log lines of the containers to the report of a failed test."""
    report = yield
    fixtures = getattr(item, "funcargs", {})
    stack = fixtures.get("compose", fixtures.get("project"))
    if report.failed and call.when == "call" and stack is not None:
        report.sections.append(("logs of the containers", stack.logs()))
    return report


@contextmanager
def new_project(name: str, *overlays: str) -> Iterator[Compose]:
    """A project without containers; removed with its volumes afterwards."""
    require_images()
    first = free_ports(len(PUBLISHED))
    ports = {name: first + number for number, name in enumerate(PUBLISHED)}
    stack = Compose(f"tidegate-{name}-{uuid.uuid4().hex[:8]}", ports, (*FILES, *overlays))
    try:
        yield stack
    finally:
        stack.run("down", "--volumes", "--remove-orphans", "--timeout", "5")


@pytest.fixture
def project() -> Iterator[Compose]:
    """A project without containers."""
    with new_project("bare") as stack:
        yield stack


@pytest.fixture(scope="module")
def compose() -> Iterator[Compose]:
    """The stack, healthy."""
    with new_project("test") as stack:
        stack.up()
        yield stack


@pytest.fixture(scope="module")
def own_application() -> Iterator[Compose]:
    """The stack around examples/own-app, healthy."""
    with new_project("own", "examples/own-app/compose.yml") as stack:
        stack.up()
        yield stack
