"""The data of each release, and the code of it where the history of this checkout reaches it."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import releases
from support.releases import Checkout
from support.releases.data import ReleaseData


@pytest.fixture(params=releases.NAMES)
def release(request: pytest.FixtureRequest, tmp_path: Path) -> ReleaseData:
    return ReleaseData(releases.unpack(request.param, tmp_path / "release"))


@pytest.fixture(scope="session")
def checkouts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checkout]:
    return {}


@pytest.fixture
def code(
    request: pytest.FixtureRequest,
    release: ReleaseData,
    checkouts: dict[str, Checkout],
    tmp_path_factory: pytest.TempPathFactory,
) -> Checkout:
    """The code of the release."""
    commit = request.node.callspec.params["release"].rpartition("-")[2]
    if commit not in checkouts:
        checkouts[commit] = releases.check_out(commit, tmp_path_factory.mktemp(commit))
    return checkouts[commit]
