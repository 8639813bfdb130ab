from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from tidegate.store.fields import catalogue, project

ROOT = Path(__file__).parents[3]
TEMPLATES = ROOT / "observability" / "elasticsearch"
CORE_TYPES = {"keyword", "text", "long", "double", "date", "boolean", "ip", "object"}


def each_key_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of JSON, in which a second value would silently take the first one's place."""
    assert len({key for key, _ in pairs}) == len(pairs), [key for key, _ in pairs]
    return dict(pairs)


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.json")), ids=lambda path: path.name)
def test_templates_use_core_types_only(path: Path) -> None:
    def types(held: object) -> set[str]:
        if not isinstance(held, dict):
            return set()
        own = {held["type"]} if isinstance(held.get("type"), str) else set()
        return own.union(*(types(child) for child in held.values()))

    template = json.loads(path.read_text(), object_pairs_hook=each_key_once)
    mappings = template.get("template", {}).get("mappings", {})
    assert types(mappings.get("properties")) <= CORE_TYPES
    if mappings:
        assert mappings["dynamic"] is False


def test_a_keyword_may_be_a_number_of_more_than_64_bits() -> None:
    assert project({"@timestamp": 0, "tags": [2**70, 5]})["tags"] == [str(2**70), "5"]


def test_a_number_out_of_range_is_not_a_double() -> None:
    leaf = catalogue()["tidegate.prediction.probability"]
    assert leaf.convert(10**400) is None
    assert leaf.convert("1e400") is None
    assert catalogue()["event.duration"].convert(float("inf")) is None
    assert catalogue()["event.start"].convert(2**62) is None


def test_long_names_of_fields_stay_in_no_memory() -> None:
    tracemalloc.start()
    for number in range(200):
        project({"@timestamp": "2026-03-01T00:00:00Z", f"{number}{'x' * 60_000}": 1})
    left = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert left < 1_000_000
