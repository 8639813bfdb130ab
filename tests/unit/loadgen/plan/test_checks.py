"""Checks on responses: of the status, of a text in the body, of a value in its JSON."""

from __future__ import annotations

import pytest

from tidegate.loadgen.errors import UsageError
from tidegate.loadgen.plan.checks import parse_check

BODY = b'{"items": [{"label": "late", "price": 9.5}], "total": 1, "ok": true}'


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("status==201", True),
        ("status < 300", True),
        ("status!=201", False),
        ('body contains "late"', True),
        ("body contains early", False),
        ("json.items.0.label==late", True),
        ('json.items.0.label == "late"', True),
        ("json.items.0.price<10", True),
        ("json.items.0.price<9", False),
        ("json.items.1.price<10", False),
        ("json.items.first.price<10", False),
        ("json.ok==true", True),
        ("json.items.0.label contains at", True),
        ("json.total contains 1", False),
        ("body!=5", True),
        ("json.total<late", False),
        ("json.nothing==1", False),
    ],
)
def test_a_check_passes_or_fails(text: str, passes: bool) -> None:
    assert parse_check(text).passes(201, BODY) is passes


def test_a_body_that_is_not_json_fails_a_check_of_json() -> None:
    assert not parse_check("json.total==1").passes(200, b"<html>")
    assert parse_check("json==1").passes(200, b"1")


@pytest.mark.parametrize("text", ["", "status", "status==good", "body has tea", "header.x==1"])
def test_what_is_no_check_is_an_error_that_shows_some(text: str) -> None:
    with pytest.raises(UsageError, match=r"expected 'status==201', 'body contains TEXT'"):
        parse_check(text)
