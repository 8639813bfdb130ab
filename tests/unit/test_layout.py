"""The layout of tests/: what several test files import is in tests/support, fixtures are in conftest.py."""

from __future__ import annotations

import re

from support.checkout import ROOT

TESTS = ROOT / "tests"
CONFTEST_IMPORT = re.compile(r"^\s*(from \.*conftest import|import conftest)", re.MULTILINE)


def test_no_test_imports_a_conftest() -> None:
    found = [path for path in TESTS.rglob("*.py") if CONFTEST_IMPORT.search(path.read_text())]
    assert found == []


def test_the_root_of_tests_has_no_module_but_its_conftest() -> None:
    assert [path.name for path in TESTS.glob("*.py")] == ["conftest.py"]
