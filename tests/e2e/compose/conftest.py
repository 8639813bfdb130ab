"""The Compose stack, once for all its tests."""

from __future__ import annotations

import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest

from support.compose_stack import PUBLISHED, Compose, require_images
from support.ports import free_ports


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails shows what the stack's containers said last."""
    report = yield
    used = getattr(item, "funcargs", {})
    stack = used.get("compose", used.get("project"))
    if report.failed and call.when == "call" and stack is not None:
        report.sections.append(("what the containers said", stack.logs()))
    return report


@contextmanager
def made(name: str) -> Iterator[Compose]:
    """A project of which nothing runs; gone with its volumes afterwards."""
    require_images()
    first = free_ports(len(PUBLISHED))
    ports = {name: first + number for number, name in enumerate(PUBLISHED)}
    stack = Compose(f"tidegate-{name}-{uuid.uuid4().hex[:8]}", ports)
    try:
        yield stack
    finally:
        stack.run("down", "--volumes", "--remove-orphans", "--timeout", "5")


@pytest.fixture
def project() -> Iterator[Compose]:
    """A project of which nothing runs."""
    with made("bare") as stack:
        yield stack


@pytest.fixture(scope="module")
def compose() -> Iterator[Compose]:
    """The stack, healthy."""
    with made("test") as stack:
        stack.up()
        yield stack
