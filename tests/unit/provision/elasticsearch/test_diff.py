"""The comparison of the desired and the present state."""

from __future__ import annotations

import pytest

from tidegate.provision.elasticsearch.diff import differences, flatten, outcome


def test_another_notation_is_no_difference() -> None:
    desired = {"index": {"shards": 1, "mode": "standard", "on": True, "names": ["a", "b"]}}
    present = {
        "index.shards": "1",
        "index": {"mode": "standard", "on": "true", "names": ["a", "b"]},
    }
    assert differences(desired, present) == []
    assert flatten(present) == {
        "index.shards": "1",
        "index.mode": "standard",
        "index.on": "true",
        "index.names": '["a", "b"]',
    }


def test_different_missing_and_superfluous_leaves_are_named() -> None:
    desired = {"a": {"b": 1, "c": 2}, "d": 3}
    assert differences(desired, {"a": {"b": 1, "c": 9}, "e": 4}) == ["a.c", "d", "e"]


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ([], "unchanged"),
        (["a"], "changed (a)"),
        (["a", "b", "c"], "changed (a, b, c)"),
        (["a", "b", "c", "d", "e"], "changed (a, b, c and 2 more)"),
    ],
)
def test_the_outcome_names_up_to_three_changes(changed: list[str], text: str) -> None:
    assert outcome(changed) == text
