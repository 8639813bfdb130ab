"""A stack in local mode with its real programs, controlled by its commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.processes.stack_process import Stack


@pytest.fixture
def stack(tmp_path: Path, artefact: Path) -> Stack:
    return Stack(tmp_path, artefact)
