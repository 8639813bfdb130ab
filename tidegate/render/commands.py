"""`tidegate render`: writes the generated files, or says which are not current."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tidegate.render import documents
from tidegate.render.alert_cases import cases
from tidegate.render.alerts import alerts
from tidegate.render.layout import project_folder
from tidegate.render.metrics import metrics_page
from tidegate.render.recording import groups
from tidegate.render.recording_cases import recording_cases
from tidegate.settings import Settings, setting_names


def rule_files(settings: Settings) -> dict[str, str]:
    """Name and text of each generated file of rules, for these settings."""
    return {
        "service.yml": documents.recording_rules(groups(settings.slo)),
        "alerts.yml": documents.alerting_rules(alerts(settings)),
    }


def generated_files(settings: Settings) -> dict[Path, str]:
    """Path (in the project) and text of every generated file."""
    prometheus = Path("observability/prometheus")
    return {
        **{prometheus / "rules" / name: text for name, text in rule_files(settings).items()},
        prometheus / "tests/service.yml": documents.recording_tests(recording_cases(settings.slo)),
        prometheus / "tests/alerts.yml": documents.alerting_tests(
            alerts(settings), cases(settings), "15s"
        ),
        prometheus / "tests/burns.yml": documents.alerting_tests(
            alerts(settings), cases(settings), "1m"
        ),
        Path("docs/settings.md"): documents.settings_page(setting_names()),
        Path("docs/metrics.md"): metrics_page(settings),
    }


def render(settings: Settings, *, check: bool) -> int:
    """Write every generated file that is not current.

    Args:
        settings: those in force; the rules follow `slo`, `replicas.max` and `autoscaler.stale_seconds`.
        check: write nothing, and name the files that are not current.

    Returns:
        The exit code: 1 if `check` found one, else 0.

    Raises:
        OSError: a file cannot be written.
    """
    folder = project_folder()
    stale = find_stale(folder, generated_files(settings))
    for path, text in stale.items():
        if check:
            print(f"{path}: not current, run `tidegate render`")  # noqa: T201  the command's output
            continue
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
        print(f"{path}: written")  # noqa: T201  the command's output
    return 1 if check and stale else 0


def find_stale(folder: Path, files: Mapping[Path, str]) -> dict[Path, str]:
    """Those of the files that are missing or say something else."""
    return {path: text for path, text in files.items() if _read(folder / path) != text}


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
