"""An upgrade that is killed between any two of its writes can be repeated, or taken back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.components import IN_CI
from support.releases import Checkout
from support.releases.data import ReleaseData, assert_all_once
from support.releases.kills import killed_deliveries

pytestmark = [pytest.mark.integration, IN_CI]

# The old code takes a process each time.
BACK_EVERY = 7


def test_every_kill_can_be_repeated_or_taken_back(
    release: ReleaseData, code: Checkout, tmp_path: Path
) -> None:
    (tmp_path / "killed").mkdir()
    killed = killed_deliveries(release, tmp_path / "killed")
    assert len(killed) > 10
    for number, upgraded in enumerate(killed):
        if number % BACK_EVERY == 0:
            back = ReleaseData(tmp_path / f"back-{number}")
            shutil.copytree(upgraded.folder, back.folder)
            assert_all_once(code.delivered(back), back)
            back.deliver()
            assert_all_once(back.stored(), back)
        upgraded.deliver()
        assert_all_once(upgraded.stored(), upgraded)
