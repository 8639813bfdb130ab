"""What `make kustomize` writes: the same objects as the chart's."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.checkout import ROOT
from support.components import unavailable
from support.kubernetes.chart import CHART, FULL
from support.kubernetes.chart import render as rendered
from support.kubernetes.programs import missing, program
from tidegate.settings import setting_names
from tools.kustomize.__main__ import MODES, render
from tools.kustomize.objects import HELMS, REPEATED, SETTINGS

NAMESPACE = "tidegate"


@pytest.fixture(scope="module", autouse=True)
def _programs() -> None:
    if absent := missing("helm", "kustomize"):
        unavailable(f"not built: {', '.join(absent)} (run `scripts/kubernetes tools`)")


def kustomize(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.kustomize", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What it writes with the chart's own values."""
    out = tmp_path_factory.mktemp("kustomize")
    done = kustomize("--out", str(out))
    assert done.returncode == 0, done.stderr
    return out


def build(folder: Path) -> list[dict[str, Any]]:
    done = subprocess.run(
        [program("kustomize"), "build", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def without_helm(node: Any) -> Any:
    """The object without helm's labels and the annotations that kustomize does not need."""
    if isinstance(node, list):
        return [without_helm(each) for each in node]
    if not isinstance(node, dict):
        return node
    found = {name: without_helm(part) for name, part in node.items() if name not in HELMS}
    return {name: part for name, part in found.items() if (name, part) != ("annotations", {})}


def test_only_what_has_changed_is_written(folder: Path) -> None:
    gateway, old, own = (folder / "base" / f"{name}.yaml" for name in ("gateway", "old", "own"))
    before = gateway.read_bytes()
    gateway.write_text("changed")
    old.write_bytes(before)
    own.write_text("# of a person\n")
    done = kustomize("--out", str(folder))
    assert done.stdout.splitlines() == [f"{old}: removed", f"{gateway}: written"]
    assert (gateway.read_bytes(), old.exists(), own.exists()) == (before, False, True)


def test_other_values_and_another_namespace(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text("settings: {replicas: {max: 9}}\n")
    out = tmp_path / "out"
    done = kustomize("--out", str(out), "--namespace", "shop", "--values", str(values))
    assert done.returncode == 0, done.stderr
    objects = build(out / "overlays" / "resizer")
    assert {one["metadata"]["namespace"] for one in objects} == {"shop"}
    (settings,) = (one for one in objects if SETTINGS in one.get("data", {}))
    assert "max = 9" in settings["data"][SETTINGS]


def test_settings_that_no_program_starts_with_are_refused(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text("settings: {replicas: {min: 9}}\n")
    done = kustomize("--out", str(tmp_path / "out"), "--values", str(values))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("settings: replicas: expected min ≤ start ≤ max, got min = 9")
    assert not (tmp_path / "out").exists()


def other_numbers(node: dict[str, Any], name: str = "") -> Iterator[tuple[str, float | bool]]:
    """Each number and each switch of the chart's settings, with a value that is not its default."""
    for key, part in node.get("properties", {}).items():
        yield from other_numbers(part, f"{name}.{key}" if name else key)
    kind = node.get("type")
    if kind == "boolean":
        yield name, not setting_names()[name]
    if kind in {"integer", "number"}:
        least = node.get("minimum", node.get("exclusiveMinimum", 0))
        most = node.get("maximum", node.get("exclusiveMaximum", 10**6))
        middle = (least + most) / 2
        yield name, int(middle) if kind == "integer" else middle


def test_the_note_in_the_settings_names_those_that_are_in_other_objects() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]["settings"]
    repeated: dict[str, float | bool] = {}
    others: dict[str, float | bool] = {}
    for name, value in other_numbers(schema):
        within = any(f"{name}.".startswith(f"{one}.") for one in REPEATED)
        (repeated if within else others)[name] = value
    assert len(others) > 40

    def objects(mode: str, values: dict[str, float | bool]) -> list[Any]:
        settings: dict[str, Any] = {}
        for name, value in values.items():
            section = settings
            *parents, last = name.split(".")
            for each in parents:
                section = section.setdefault(each, {})
            section[last] = value
        chosen = {
            "scaling": {"mode": mode},
            "secrets": {"existing": "shop"},
            "settings": settings,
        }
        # But for the settings themselves, and the job that checks them.
        mine = {f"{FULL}-settings", f"{FULL}-settings-check"}
        return [
            one for one in without_helm(rendered(chosen)) if one["metadata"]["name"] not in mine
        ]

    for mode in MODES:
        assert objects(mode, others) == objects(mode, {}), mode
    to_zero: dict[str, float | bool] = {"replicas.min": 0}  # which some settings matter for alone
    for one in REPEATED:
        mine = {name: value for name, value in repeated.items() if f"{name}.".startswith(f"{one}.")}
        assert any(objects(mode, to_zero | mine) != objects(mode, to_zero) for mode in MODES), one


@pytest.mark.parametrize("mode", MODES)
def test_kustomize_builds_the_objects_of_the_chart(mode: str, folder: Path) -> None:
    built = build(folder / "overlays" / mode)
    (settings,) = (one for one in built if SETTINGS in one.get("data", {}))
    # Its name changes with its content, and with it the pods that mount it.
    name = settings["metadata"]["name"]
    assert name.startswith("tidegate-settings-")
    found = {}
    for one in yaml.safe_load(yaml.safe_dump(built).replace(name, "tidegate-settings")):
        if SETTINGS not in one.get("data", {}):
            assert one["metadata"].pop("namespace") == NAMESPACE
            found[one["kind"], one["metadata"]["name"]] = one
    rendered = {
        (one["kind"], one["metadata"]["name"]): one
        for one in without_helm(render(mode, NAMESPACE, None))
        if SETTINGS not in one.get("data", {})
    }
    assert found == rendered
    (toml,) = (one for one in render(mode, NAMESPACE, None) if SETTINGS in one.get("data", {}))
    assert tomllib.loads(settings["data"][SETTINGS]) == tomllib.loads(toml["data"][SETTINGS])
