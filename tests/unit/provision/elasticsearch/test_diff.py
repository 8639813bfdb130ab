"""What is there, against what is wanted."""

from __future__ import annotations

import pytest

from tidegate.provision.elasticsearch.diff import differences, flat, outcome


def test_the_same_in_another_writing_is_no_difference() -> None:
    wanted = {"index": {"shards": 1, "mode": "standard", "on": True, "names": ["a", "b"]}}
    there = {"index.shards": "1", "index": {"mode": "standard", "on": "true", "names": ["a", "b"]}}
    assert differences(wanted, there) == []
    assert flat(there) == {
        "index.shards": "1",
        "index.mode": "standard",
        "index.on": "true",
        "index.names": '["a", "b"]',
    }


def test_what_differs_is_missing_or_too_much_is_named() -> None:
    wanted = {"a": {"b": 1, "c": 2}, "d": 3}
    assert differences(wanted, {"a": {"b": 1, "c": 9}, "e": 4}) == ["a.c", "d", "e"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ([], "as wanted"),
        (["a"], "changed (a)"),
        (["a", "b", "c"], "changed (a, b, c)"),
        (["a", "b", "c", "d", "e"], "changed (a, b, c and 2 more)"),
    ],
)
def test_what_was_done_is_said_briefly(changed: list[str], words: str) -> None:
    assert outcome(changed) == words
