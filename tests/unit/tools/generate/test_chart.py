"""The generated files of the Helm chart."""

from __future__ import annotations

import re
from typing import Any

import jsonschema
import pytest
import yaml

from support.checkout import ROOT
from tidegate.rules.rule_files import rule_files
from tidegate.settings import SettingsError, load, setting_names
from tools.generate.chart.chart_files import RULE_SETTINGS
from tools.generate.chart.values_file import read_values
from tools.generate.chart.values_schema import OWNED, values_schema

CHART = ROOT / "deploy" / "helm" / "tidegate"


def schema() -> dict[str, Any]:
    return dict(yaml.safe_load(values_schema(read_values())))


def walk(node: dict[str, Any], prefix: str = "") -> set[str]:
    """The dotted names of all values in a schema."""
    found = set()
    for name, part in node.get("properties", {}).items():
        found |= walk(part, f"{prefix}{name}.") if "properties" in part else {f"{prefix}{name}"}
    return found


def test_the_schema_is_valid_and_accepts_the_defaults() -> None:
    found = schema()
    jsonschema.Draft202012Validator.check_schema(found)
    jsonschema.validate(yaml.safe_load((CHART / "values.yaml").read_text()), found)


def test_every_mapping_of_ours_refuses_unknown_names() -> None:
    def check(node: dict[str, Any], name: str) -> None:
        if "properties" in node:
            assert node.get("additionalProperties") is False, name
            for key, part in node["properties"].items():
                check(part, f"{name}.{key}")

    check(schema(), "values")


def test_every_setting_is_a_value_or_the_charts_own() -> None:
    allowed = walk(schema()["properties"]["settings"])
    names = set(setting_names())
    own = {name for name in names if is_owned(name)}
    # A schedule's fields are in the items of its list.
    assert allowed == names - own
    for name in OWNED:
        assert name in own or any(each.startswith(f"{name}.") for each in own), name


def test_every_value_that_the_guide_names_exists() -> None:
    page = (ROOT / "docs" / "how-to" / "kubernetes.md").read_text(encoding="utf-8")
    leaves = {leaf.name for one in read_values() for leaf in one.leaves()}
    known = leaves | {f"settings.{name}" for name in setting_names()} | set(setting_names())
    first = {one.name for one in read_values()} - {"settings"}
    named = re.findall(r"`([a-z]+(?:\.[a-zA-Z_]+)+)(?:: [^`]*)?`", page)
    assert len(named) > 15
    assert [
        name
        for name in named
        if name.partition(".")[0] in first | {"settings"}
        and name not in known
        # The values of a mapping.
        and not any(leaf.startswith(f"{name}.") for leaf in leaves)
    ] == []


def changes(default: Any) -> list[Any]:
    """Other values of a setting, of which at least one is valid for most settings."""
    if isinstance(default, bool):
        return [not default]
    if isinstance(default, int | float):
        return [default * 1.01, default + 1, default - 1]
    if isinstance(default, tuple):
        return [["gunicorn", "{port}"], ["/x"]]
    return ["first_byte", "x", "/x", "kpa", "7h", "5m", "http://x:1", 3]


def is_owned(name: str) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in OWNED)


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    """The rules of the settings that are changed."""
    return rule_files(load(replicas={"start": 1, "max": 6}))


@pytest.mark.parametrize("name", [name for name in setting_names() if not is_owned(name)])
def test_the_rules_depend_on_exactly_the_settings_that_the_chart_checks(
    name: str, before: dict[str, str]
) -> None:
    first, *others = name.split(".")
    differs = tried = False
    for value in changes(setting_names()[name]):
        part: Any = value
        for key in reversed(others):
            part = {key: part}
        try:
            settings = load(**{first: part})
        except SettingsError:
            continue
        tried = True
        differs = differs or rule_files(settings) != before
    assert differs is (name in RULE_SETTINGS) or not tried
