"""The configuration and the rules are valid for Prometheus 2.42 and 3.x, and the rules pass their tests."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.components import AT_NIGHT
from support.processes.prometheus_release import Release
from tidegate.observability_files.paths import observability_folder, project_folder
from tidegate.rules.prometheus_config import render_config
from tidegate.rules.rule_files import rule_files
from tidegate.settings import Settings
from tidegate.stack import prometheus
from tools.generate.generated_files import generated_files
from tools.generate.promtool.promtool_files import promtool_files

pytestmark = pytest.mark.integration


# A file each, as promtool takes 18 s for the longest and 37 s for all on an idle machine.
TESTS = ("alerts", "burns", "model", "model_alerts", "service")


def test_the_committed_rules_are_valid(release: Release) -> None:
    folder = observability_folder() / "prometheus"
    rules = sorted(str(path) for path in (folder / "rules").glob("*.yml"))
    release.check("check", "rules", "--lint-fatal", *rules, cwd=folder)


EACH_RELEASE = pytest.mark.parametrize(
    "release", ["in use", pytest.param("3.x", marks=AT_NIGHT)], indirect=True
)
"""By day the rules are checked for both releases, and evaluated by one."""


@EACH_RELEASE
@pytest.mark.parametrize("name", TESTS)
def test_the_rules_pass_their_tests(release: Release, name: str, tmp_path: Path) -> None:
    # Those of the code, so that a fault in it fails here; `make render-check` compares the committed ones.
    (tmp_path / "rules").mkdir()
    for file, text in rule_files(Settings()).items():
        (tmp_path / "rules" / file).write_text(text)
    release.check("test", "rules", f"{name}.yml", cwd=written_tests(Settings(), tmp_path))


def written_tests(settings: Settings, folder: Path) -> Path:
    """The folder with the test files."""
    files = promtool_files(settings)
    assert files.keys() == {f"{name}.yml" for name in TESTS}
    (folder / "tests").mkdir(parents=True)
    for name, text in files.items():
        (folder / "tests" / name).write_text(text)
    return folder / "tests"


@EACH_RELEASE
def test_rules_for_another_objective_pass_their_tests(release: Release, tmp_path: Path) -> None:
    # For the first byte, a histogram edge with two spellings, and an error budget for which a burn rate is
    # limited.
    slo = {
        "latency_seconds": 1.0,
        "latency_quantile": 0.9,
        "availability": 0.99,
        "until": "first_byte",
    }
    settings = Settings.model_validate({"slo": slo, "replicas": {"max": 9}})
    other, ours = generated_files(settings), generated_files(Settings())
    folder = tmp_path / "observability/prometheus"
    for path, text in other.items():
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    # The cases of a rule that is the same have passed above.
    written_tests(settings, folder)
    changed = changed_rules(*(rules_of(files) for files in (ours, other)))
    assert not any(name.startswith("model:") for name in changed)
    expected = {"ServiceAvailabilityBurnFast", "ServiceLatencyBurnFast", "AutoscalerAtMax"}
    assert {*expected, "service:slot_objective_seconds_p95:1m"} <= changed
    (folder / "tests" / "model.yml").unlink()  # it tests recorded series, which are the same
    for name in ("alerts.yml", "model_alerts.yml"):
        file = folder / "tests" / name
        tests = yaml.load(file.read_text(), Loader=yaml.CSafeLoader)
        tests["tests"] = [case for case in tests["tests"] if alerts_of(case) & changed]
        file.write_text(yaml.dump(tests, Dumper=yaml.CSafeDumper, sort_keys=False))
    files = sorted(path.name for path in (folder / "tests").iterdir())
    release.check("test", "rules", *files, cwd=folder / "tests")


def rules_of(files: Mapping[Path, str]) -> dict[str, list[Any]]:
    """The rules of generated files, by the name of the series or of the alert."""
    rules: dict[str, list[Any]] = {}
    for path, text in files.items():
        if "prometheus/rules" in str(path):
            for group in yaml.load(text, Loader=yaml.CSafeLoader)["groups"]:
                for rule in group["rules"]:
                    rules.setdefault(rule.get("record") or rule["alert"], []).append(rule)
    return rules


def changed_rules(before: dict[str, list[Any]], after: dict[str, list[Any]]) -> set[str]:
    """The names of the rules that differ, or that read a series of such a rule."""
    changed = {name for name, rules in after.items() if rules != before.get(name)}
    while True:
        readers = {
            name
            for name, rules in after.items()
            if any(one in rule["expr"] for rule in rules for one in changed)
        }
        if readers <= changed:
            return changed
        changed |= readers


def alerts_of(case: Mapping[str, Any]) -> set[str]:
    return {test["alertname"] for test in case.get("alert_rule_test", ())}


def test_the_configuration_is_valid_on_one_machine_and_in_compose(
    release: Release, folder: Path
) -> None:
    config = prometheus.write_config(Settings(), folder)
    release.check("check", "config", str(config), cwd=folder)
    compose = folder / "compose.yml"
    compose.write_text(render_config(Settings(), dns_name="model"))
    release.check("check", "config", str(compose), cwd=folder)


def test_the_queries_in_the_runbooks_are_valid(release: Release, tmp_path: Path) -> None:
    queries: set[str] = set()
    for page in (project_folder() / "docs/runbooks").glob("*.md"):
        for block in re.findall(
            r"^```promql\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL
        ):
            queries |= set(block.splitlines())
    assert len(queries) > 20
    rules = [{"record": "query", "expr": query} for query in sorted(queries)]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    release.check("check", "rules", "--lint=none", str(file), cwd=tmp_path)
