"""Writes the generated files, or lists the stale ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tidegate.rules.rule_files import rule_files
from tidegate.settings import Settings
from tools.generate.chart.chart_files import chart_files
from tools.generate.checkout import ROOT
from tools.generate.docs.alerts_page import alerts_page
from tools.generate.docs.cli_page import cli_page
from tools.generate.docs.metrics_page import metrics_page
from tools.generate.docs.settings_page import settings_page
from tools.generate.grafana import grafana_files
from tools.generate.protobuf import protobuf_files

RULES: Final = Path("observability/prometheus/rules")


def generated_files(settings: Settings) -> dict[Path, str]:
    """Path (in the project) and text of every generated file."""
    return {
        **{RULES / name: text for name, text in rule_files(settings).items()},
        Path("docs/reference/settings.md"): settings_page(),
        Path("docs/reference/metrics.md"): metrics_page(settings),
        Path("docs/reference/alerts.md"): alerts_page(settings),
        Path("docs/reference/cli.md"): cli_page(),
        **grafana_files(settings),
        **protobuf_files(),
        **chart_files(settings),
    }


def generate(settings: Settings, *, check: bool, folder: Path = ROOT) -> int:
    """Write every generated file that is stale, or `check` only: list them, and return 1 if there is one.

    Raises:
        OSError: a file cannot be written.
    """
    stale = find_stale(folder, generated_files(settings))
    for path, text in stale.items():
        if check:
            print(f"{path}: not current, run `make render`")
            continue
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
        print(f"{path}: written")
    return 1 if check and stale else 0


def find_stale(folder: Path, files: Mapping[Path, str]) -> dict[Path, str]:
    """The files that are missing or differ."""
    return {path: text for path, text in files.items() if _read(folder / path) != text}


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
