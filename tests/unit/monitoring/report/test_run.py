"""`tidegate monitor report` with a store but without Prometheus, and its errors."""

from __future__ import annotations

import re
import time
from contextlib import closing
from pathlib import Path

import pytest

from support.checkout import ROOT
from support.harnesses.html_page import HtmlPage
from support.samples.drift_report import (
    CLASSIFIER,
    REGRESSOR,
    outcome,
    request_event,
    value_outcome,
)
from support.samples.model_artefacts import write_artefact
from tidegate.events.event import Event
from tidegate.monitoring.report import run
from tidegate.monitoring.report.model_choice import watched_model
from tidegate.monitoring.report.run import kibana_trace_url
from tidegate.monitoring.report.run import report as write_report
from tidegate.settings import Settings
from tidegate.store.embedded.store import EmbeddedStore
from tidegate.terminal.served_model import choose_model


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    artefact = tmp_path / "artefact"
    write_artefact(artefact, CLASSIFIER)
    return Settings(
        model={"path": artefact},
        stack={"data_dir": tmp_path},
        prometheus={"port": 9},
        drift={"segments": ["carrier"]},
    )


def report(settings: Settings, since: str, out: Path, named: Path | None = None) -> int:
    return write_report(
        settings, since=since, out=out, choose_model=lambda *_: choose_model(settings, named)
    )


def store_events(settings: Settings, *events: Event) -> None:
    with closing(EmbeddedStore(settings.stack.data_dir / "store")) as store:
        store.append(events)


def test_a_report_is_written_without_prometheus(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_events(settings, outcome(time.time() - 60))
    out = tmp_path / "reports" / "model.html"
    assert report(settings, since="5m", out=out) == 0
    said = capsys.readouterr()
    assert said.out == f"{out}: drift unknown; 1 labels\n"
    asked = "http://127.0.0.1:9/api/v1/query_range"
    assert f"no distributions: Prometheus at {asked} cannot be reached" in said.err
    assert "answers now" not in said.err
    page = out.read_text(encoding="utf-8")
    assert "known labels" in page
    assert f"Model: {settings.model.path}, from model.path." in page
    assert "contains only the first" not in page


def test_the_periods_begin_with_the_first_answer(settings: Settings, tmp_path: Path) -> None:
    now = time.time()
    store_events(settings, *(outcome(now - 600 + 60 * minute) for minute in range(10)))
    out = tmp_path / "model.html"
    assert report(settings, since="1d", out=out) == 0
    page = HtmlPage(out.read_text(encoding="utf-8")).text
    # Of a day's twelve periods, one would have all labels.
    labels = re.findall(r"\d\d:\d\d:\d\d (\d+) (?:100\.0%|-) ", page)
    assert len(labels) == 12
    assert sum(map(int, labels)) == 10
    assert max(map(int, labels)) <= 2


def test_a_report_on_an_older_version_names_the_newer_one(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newer = {"name": "flights", "version": "v2"}
    answered = time.time() - 60
    late = {"label": "late"}
    store_events(settings, request_event(answered, "a" * 32, None, model=newer, prediction=late))
    out = tmp_path / "model.html"
    assert report(settings, since="5m", out=out) == 0
    path = settings.model.path
    said = f"version v2 answers now, but the report is on flights v1 ({path}, "
    assert said in capsys.readouterr().err
    assert "Version v2 answers now" in out.read_text(encoding="utf-8")
    assert report(settings, since="5m", out=out, named=path / "no") == 2
    assert "there is no model at" in capsys.readouterr().err


def test_a_report_on_a_watched_regressor_needs_no_artefact(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "MAX_LABELS", 1)
    reference = tmp_path / "reference.json"
    reference.write_text(REGRESSOR.reference.model_dump_json())
    settings = Settings(stack={"data_dir": tmp_path}, prometheus={"port": 9})
    store_events(settings, value_outcome(time.time() - 60, 20.0, 31.0, version="3", inside=False))
    out = tmp_path / "model.html"
    code = write_report(
        settings,
        since="5m",
        out=out,
        choose_model=lambda store, begin: watched_model(store, reference, "flights", "3", begin),
    )
    assert (code, capsys.readouterr().out) == (0, f"{out}: drift unknown; 1 labels\n")
    page = out.read_text(encoding="utf-8")
    assert f"Model: flights 3, with {reference}, from --reference." in page
    assert "+11.00" in page
    assert "This report contains only the first 1 labels: choose a later --since." in page


@pytest.mark.parametrize(
    ("since", "error"),
    [
        ("never", "'never' is not a valid time"),
        ("2999-01-01", "--since: 2999-01-01 is not in the past"),
    ],
)
def test_the_error_names_an_invalid_time(
    settings: Settings, since: str, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(settings, since=since, out=Path("no.html")) == 2
    assert error in capsys.readouterr().err


def test_the_error_names_what_is_missing_or_cannot_be_written(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def error(out: Path = tmp_path / "no.html") -> str:
        assert report(settings, since="5m", out=out) == 2
        return capsys.readouterr().err

    assert "there is no store at" in error()
    store_events(settings)
    assert f"--out: {tmp_path} cannot be written: Is a directory" in error(tmp_path)
    (settings.model.path / "reference.json").write_text("{}")
    assert "reference.json cannot be read" in error()
    (settings.model.path / "manifest.json").unlink()
    assert "there is no model at" in error()


def test_only_elasticsearch_has_a_kibana(settings: Settings) -> None:
    assert kibana_trace_url(settings, "ID") == ""
    with_kibana = Settings(
        store={"kind": "elasticsearch"}, kibana={"url": "http://127.0.0.1:5601/"}
    )
    page = (ROOT / "docs/reference/kibana.md").read_text(encoding="utf-8")
    assert f"\n{kibana_trace_url(with_kibana, 'ID')}\n" in page
