"""`tidegate render`: writes the generated files, or says which are not current."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tidegate.render import documents
from tidegate.render.alert_cases import cases
from tidegate.render.alerts import alerts
from tidegate.render.drift_alerts import drift_alerts
from tidegate.render.drift_recording_cases import drift_recording_cases
from tidegate.render.kibana.documents import kibana_files
from tidegate.render.layout import project_folder
from tidegate.render.metrics import metrics_page
from tidegate.render.model_rules import model_groups
from tidegate.render.recording import groups
from tidegate.render.recording_cases import recording_cases
from tidegate.settings import Settings, setting_names


def rule_files(settings: Settings) -> dict[str, str]:
    """Name and text of each generated file of rules, for these settings."""
    return {
        "service.yml": documents.recording_rules(groups(settings.slo)),
        "model.yml": documents.recording_rules(model_groups(settings.drift)),
        "alerts.yml": documents.alerting_rules(alerts(settings)),
    }


def generated_files(settings: Settings) -> dict[Path, str]:
    """Path (in the project) and text of every generated file."""
    prometheus = Path("observability/prometheus")
    model = {alert.name for alert in drift_alerts(settings.drift)}
    about_model = [case for case in cases(settings) if case.alert in model]
    about_service = [case for case in cases(settings) if case.alert not in model]
    return {
        **{prometheus / "rules" / name: text for name, text in rule_files(settings).items()},
        prometheus / "tests/service.yml": documents.recording_tests(recording_cases(settings.slo)),
        prometheus / "tests/model.yml": documents.recording_tests(
            drift_recording_cases(settings.drift), documents.MODEL_RULES
        ),
        prometheus / "tests/alerts.yml": documents.alerting_tests(
            alerts(settings), about_service, "15s"
        ),
        prometheus / "tests/model_alerts.yml": documents.alerting_tests(
            alerts(settings), about_model, "15s", documents.MODEL_RULES
        ),
        prometheus / "tests/burns.yml": documents.alerting_tests(
            alerts(settings), about_service, "1m"
        ),
        Path("docs/reference/settings.md"): documents.settings_page(setting_names()),
        Path("docs/reference/metrics.md"): metrics_page(settings),
        **kibana_files(settings),
        **_grafana(settings),
    }


def render(settings: Settings, *, check: bool) -> int:
    """Write every generated file that is not current.

    Args:
        settings: those in force; the rules follow `slo`, `drift`, `replicas.max` and
            `autoscaler.stale_seconds`.
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


def _grafana(settings: Settings) -> dict[Path, str]:
    try:
        # Not above: the rules are made at every start of the stack, where Grafana's SDK need not be.
        from tidegate.render.grafana import grafana_files  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SystemExit(
            f"`tidegate render` needs {error.name}: pip install -e '.[dev]'"
        ) from error
    return grafana_files(settings)


def find_stale(folder: Path, files: Mapping[Path, str]) -> dict[Path, str]:
    """Those of the files that are missing or say something else."""
    return {path: text for path, text in files.items() if _read(folder / path) != text}


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
