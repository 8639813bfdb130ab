"""Warnings that the resizer logs at its start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tidegate.resizer.compose.own_project import OwnProject
from tidegate.resizer.compose.run import _log_warnings

WORKING_DIR = "com.docker.compose.project.working_dir"


@pytest.mark.parametrize(
    ("own_project", "logged"),
    [
        (OwnProject("shop", "/srv/shop", frozenset({"front"})), []),
        (OwnProject("shop", "", None), []),
        (OwnProject("shop", "/srv/other", frozenset({"front", "back"})), ["two projects"]),
        (OwnProject("shop", "/srv/shop", frozenset({"back"})), ["unreachable"]),
    ],
)
async def test_warnings(
    harness: Any, replica: Callable[..., Any], own_project: OwnProject, logged: list[str]
) -> None:
    harness.engine.add(*(replica(number, labels={WORKING_DIR: "/srv/shop"}) for number in (1, 2)))
    await harness.resizer.initialize()
    _log_warnings(harness.resizer, own_project, harness.resizer.tasks.event_log)
    assert [one for one in ("two projects", "unreachable") if harness.messages(one)] == logged
    assert all(len(harness.messages(one)) == 1 for one in logged if one == "two projects")
