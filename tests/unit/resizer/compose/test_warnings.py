"""What is no reason not to start, but is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tidegate.resizer.compose.own_project import Home
from tidegate.resizer.compose.run import _warn

FOLDER = "com.docker.compose.project.working_dir"


@pytest.mark.parametrize(
    ("home", "told"),
    [
        (Home("shop", "/srv/shop", frozenset({"front"})), []),
        (Home("shop", "", None), []),
        (Home("shop", "/srv/other", frozenset({"front", "back"})), ["two projects"]),
        (Home("shop", "/srv/shop", frozenset({"back"})), ["unreachable"]),
    ],
)
async def test_the_warnings(
    lab: Any, replica: Callable[..., Any], home: Home, told: list[str]
) -> None:
    lab.engine.add(*(replica(number, labels={FOLDER: "/srv/shop"}) for number in (1, 2)))
    await lab.resizer.begin()
    _warn(lab.resizer, home, lab.resizer.works.event_log)
    assert [one for one in ("two projects", "unreachable") if lab.told(one)] == told
    assert all(len(lab.told(one)) == 1 for one in told if one == "two projects")
