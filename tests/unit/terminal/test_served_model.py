"""The model of a report is the one that is served, and the report says where it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from support.samples.model_artefacts import calibrated_model, write_artefact
from support.samples.statuses import whole_status
from tidegate.monitoring.report.model_choice import NoModelError
from tidegate.settings import Settings
from tidegate.stack.data_folder import Layout
from tidegate.stack.replicas.release import Release
from tidegate.stack.rollout.rolling_replacement import RolloutState, RolloutStatus
from tidegate.terminal import served_model
from tidegate.terminal.served_model import choose_model


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    for version in ("v1", "v2"):
        write_artefact(tmp_path / version, replace(calibrated_model(), version=version))
    return Settings(model={"path": tmp_path / "v1"}, stack={"data_dir": tmp_path / "data"})


def test_an_application_has_no_artefact_to_report_on(tmp_path: Path) -> None:
    own = Settings(service={"app": "shop.main:app"}, stack={"data_dir": tmp_path / "data"})
    with pytest.raises(
        NoModelError, match=r"the replicas run shop\.main:app, and there is no artefact"
    ):
        choose_model(own)


@contextmanager
def running(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    state: RolloutState | None = None,
) -> Iterator[None]:
    """A stack with or without a rollout from v1 to v2."""
    folder = settings.model.path.parent
    before, release = (Release(path=folder / version) for version in ("v1", "v2"))
    rollout = state and RolloutStatus(state=state, before=before, release=release)
    status = whole_status(rollout=rollout, release=release if state == "done" else before)
    monkeypatch.setattr(served_model, "fetch_status", lambda _: status)
    layout = Layout(settings.stack.data_dir)
    layout.make()
    with layout.locked():
        yield


@pytest.mark.parametrize(
    ("state", "expected"),
    [(None, "v1"), ("done", "v2"), ("rolling", "v1"), ("rolled back", "v1")],
)
def test_the_report_is_about_the_version_that_the_running_stack_serves(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    state: RolloutState | None,
    expected: str,
) -> None:
    with running(settings, monkeypatch, state):
        found = choose_model(settings)
    assert found.model.version == expected
    assert found.source == f"{settings.model.path.parent / expected}, of the running stack"


def test_without_a_running_stack_the_report_is_about_the_model_of_the_settings(
    settings: Settings,
) -> None:
    path = settings.model.path
    assert choose_model(settings).source == f"{path}, from model.path"
    layout = Layout(settings.stack.data_dir)
    layout.make()
    with layout.locked():
        found = choose_model(settings)
    assert found.model.version == "v1"
    assert found.source.startswith(
        f"{path}, from model.path; the running stack did not report what"
    )


def test_an_option_names_another_model(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(settings, monkeypatch):
        found = choose_model(settings, settings.model.path.parent / "v2")
    assert found.model.version == "v2"
    assert found.source.endswith("v2, from --model")


def test_a_reference_is_not_taken_for_a_model(settings: Settings) -> None:
    reference = settings.model.path / "reference.json"
    with pytest.raises(NoModelError, match=r"is the reference of a model.* pass it as --reference"):
        choose_model(settings, reference)
