"""The origin of a component's events."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError

import pytest

from support.doubles.raising import raising
from tidegate.runtime.identity import event_origin
from tidegate.settings import Settings


def test_in_a_checkout_that_is_not_installed_the_version_is_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tidegate.runtime.identity.version", raising(PackageNotFoundError()))
    assert event_origin(Settings(), "gateway").version == "unknown"
