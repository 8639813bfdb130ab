"""A stack in local mode with its real programs, controlled by its commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.processes.running_stack import LEFT_ALONE, Stack, prepared


@pytest.fixture
def stack(tmp_path: Path, artefact: Path) -> Stack:
    # A path that no socket address holds: everything must work there too.
    return prepared(tmp_path / ("a-long-name-" * 9), artefact, **LEFT_ALONE)
