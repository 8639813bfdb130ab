"""The vendored files are those of their release."""

from __future__ import annotations

import hashlib

import pytest

from tidegate.console.site import FOLDER

UPLOT = FOLDER / "static" / "vendor" / "uplot"
# https://github.com/leeoniya/uPlot/tree/1.6.32
SHA256 = {
    "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
}


@pytest.mark.parametrize("name", SHA256)
def test_a_vendored_file_is_that_of_its_release(name: str) -> None:
    assert hashlib.sha256((UPLOT / name).read_bytes()).hexdigest() == SHA256[name]


def test_there_is_no_other_vendored_file() -> None:
    assert {path.name for path in UPLOT.iterdir()} == set(SHA256)
