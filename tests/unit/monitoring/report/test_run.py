"""`tidegate monitor report` with a store but without Prometheus, and its errors."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from support.samples.drift_report import MakeEvent, Tags
from support.samples.model_artefacts import regressor, write_artefact
from tidegate.monitoring.report.run import choose_watched_model, kibana_url, truncation_note
from tidegate.monitoring.report.run import report as write_report
from tidegate.monitoring.tasks.model import Model
from tidegate.settings import Settings
from tidegate.store.embedded.store import EmbeddedStore
from tidegate.terminal.served_model import choose_model


@pytest.fixture
def settings(tmp_path: Path, model: Model) -> Settings:
    artefact = tmp_path / "artefact"
    write_artefact(artefact, model)
    return Settings(
        model={"path": artefact},
        stack={"data_dir": tmp_path},
        prometheus={"port": 9},
        drift={"segments": ["carrier"]},
    )


def report(settings: Settings, since: str, out: Path, named: Path | None = None) -> int:
    return write_report(
        settings, since=since, out=out, choose_model=lambda _: choose_model(settings, named)
    )


def test_a_report_is_written_without_prometheus(
    settings: Settings, outcome: MakeEvent, capsys: pytest.CaptureFixture[str]
) -> None:
    store = EmbeddedStore(settings.stack.data_dir / "store")
    store.append([outcome(time.time() - 60, 1)])
    store.close()
    out = settings.stack.data_dir / "reports" / "model.html"
    assert report(settings, since="5m", out=out) == 0
    said = capsys.readouterr()
    assert said.out == f"{out}: drift unknown; 1 labels\n"
    assert (
        "no distributions: Prometheus at http://127.0.0.1:9/api/v1/query_range cannot be reached"
        in said.err
    )
    assert "answers now" not in said.err
    page = out.read_text(encoding="utf-8")
    assert "known labels" in page
    assert f"Model: {settings.model.path}, from model.path." in page


def test_the_periods_begin_with_the_first_answer(settings: Settings, outcome: MakeEvent) -> None:
    store, now = EmbeddedStore(settings.stack.data_dir / "store"), time.time()
    store.append([outcome(now - 600 + 60 * minute, 1) for minute in range(10)])
    store.close()
    out = settings.stack.data_dir / "model.html"
    assert report(settings, since="1d", out=out) == 0
    page = " ".join(Tags(out.read_text(encoding="utf-8")).text.split())
    # Of a day's twelve periods, one would have all labels.
    labels = re.findall(r"\d\d:\d\d:\d\d (\d+) (?:100\.0%|-) ", page)
    assert len(labels) == 12
    assert sum(map(int, labels)) == 10
    assert max(map(int, labels)) <= 2


def test_a_report_on_an_older_version_names_the_newer_one(
    settings: Settings, request_event: MakeEvent, capsys: pytest.CaptureFixture[str]
) -> None:
    event = request_event(time.time() - 60, "a" * 32, None)
    event["tidegate"]["model"]["version"] = "v2"
    event["tidegate"]["prediction"] = {"label": "late"}
    store = EmbeddedStore(settings.stack.data_dir / "store")
    store.append([event])
    store.close()
    out = settings.stack.data_dir / "model.html"
    assert report(settings, since="5m", out=out) == 0
    said = capsys.readouterr().err
    assert (
        f"version v2 answers now, but the report is on flights v1 ({settings.model.path}, " in said
    )
    assert "Version v2 answers now" in out.read_text(encoding="utf-8")
    assert report(settings, since="5m", out=out, named=settings.model.path / "no") == 2
    assert "there is no model at" in capsys.readouterr().err


def test_a_report_on_a_watched_regressor_needs_no_artefact(
    tmp_path: Path, outcome: MakeEvent, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = tmp_path / "reference.json"
    reference.write_text(regressor().reference.model_dump_json())
    event = outcome(time.time() - 60, 1, version="3")
    event["tidegate"]["outcome"] |= {"predicted_value": 20.0, "actual_value": 31.0, "inside": False}
    store = EmbeddedStore(tmp_path / "store")
    store.append([event])
    store.close()
    settings = Settings(stack={"data_dir": tmp_path}, prometheus={"port": 9})
    out = tmp_path / "model.html"
    code = write_report(
        settings,
        since="5m",
        out=out,
        choose_model=lambda begin: choose_watched_model(settings, reference, "flights", "3", begin),
    )
    assert (code, capsys.readouterr().out) == (0, f"{out}: drift unknown; 1 labels\n")
    page = out.read_text(encoding="utf-8")
    assert f"Model: flights 3, with {reference}, from --reference." in page
    assert "+11.00" in page


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


def test_the_error_names_a_missing_store_or_model(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(settings, since="5m", out=tmp_path / "no.html") == 2
    assert "there is no store at" in capsys.readouterr().err
    (settings.model.path / "reference.json").write_text("{}")
    assert report(settings, since="5m", out=tmp_path / "no.html") == 2
    assert "reference.json cannot be read" in capsys.readouterr().err
    (settings.model.path / "manifest.json").unlink()
    assert report(settings, since="5m", out=tmp_path / "no.html") == 2
    assert "there is no model at" in capsys.readouterr().err


def test_the_error_names_a_file_that_cannot_be_written(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    EmbeddedStore(tmp_path / "store").close()
    assert report(settings, since="5m", out=tmp_path) == 2
    assert f"--out: {tmp_path} cannot be written: Is a directory" in capsys.readouterr().err


def test_a_report_without_all_labels_says_so() -> None:
    assert truncation_note(10) == ""
    assert "500,000 labels" in truncation_note(500_000)


def test_only_elasticsearch_has_a_kibana(settings: Settings) -> None:
    assert kibana_url(settings) == ""
    with_kibana = Settings(store={"kind": "elasticsearch"}, kibana={"url": "http://kibana:5601"})
    assert kibana_url(with_kibana) == "http://kibana:5601"
