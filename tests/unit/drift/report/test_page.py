"""The page is one file with every finding, in both themes."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from support.samples.drift_report import Tags, rows_of
from tidegate.drift.report.alerts import FiredAlert
from tidegate.drift.report.counter_increases import Floats
from tidegate.drift.report.distributions import feature_distributions, prediction_distribution
from tidegate.drift.report.findings import Counters, Findings, Model, NewerVersion, build_findings
from tidegate.drift.report.labelled_rows import LabelledRows
from tidegate.drift.report.page import badge, kibana_trace_url, to_html
from tidegate.drift.report.periods import Period
from tidegate.drift.report.plots import PLOTS
from tidegate.loadgen.report.plots import as_bytes
from tidegate.loadgen.report.theme import DARK, LIGHT
from tidegate.settings import Drift

PERIODS = [Period("Mar", 0, 10), Period("<Apr>", 10, 20)]
SPAN = Period("all", 0, 20)
ALERT = FiredAlert("DriftFeatureCritical", "x", "critical", 12, 15)


Increases = dict[tuple[str, ...], Floats]


def counters(model: Model) -> Counters:
    observed: Increases = {
        ("x", "0"): np.array([900.0, 10.0]),
        ("x", "1"): np.array([900.0, 1500.0]),
        ("carrier", "AA"): np.array([1260.0, 0.0]),
        ("carrier", "UA"): np.array([540.0, 0.0]),
    }
    given: Increases = {("late",): np.array([360.0, 300.0]), ("on_time",): np.array([1440.0, 0.0])}
    return Counters(
        feature_distributions(model.reference, observed, 2, 0.01),
        prediction_distribution(model.reference, model.labels, given, 2, 0.01),
        [ALERT],
    )


def findings(model: Model, rows: LabelledRows, found: Counters | None = None) -> Findings:
    return build_findings(
        model, Drift(), rows, found or counters(model), span=SPAN, periods=PERIODS,
        explanations={ALERT: "PSI 1.23 of 1,510 rows over 5m"},
    )  # fmt: skip


@pytest.fixture
def rows() -> LabelledRows:
    carriers = (["AA"] * 50 + ["UA"] * 50) * 2
    right = [True] * 80 + [False] * 20 + [False] * 40 + [True] * 60
    return rows_of([5.0] * 100 + [15.0] * 100, right, [0.9] * 200, carrier=carriers)


def test_the_page_needs_no_other_file_and_shows_every_finding(
    model: Model, rows: LabelledRows
) -> None:
    html = to_html(
        findings(model, rows), note="Time is compressed.", command_prefix="FOLDER='a b' "
    )
    tags = Tags(html)
    assert tags.urls
    assert all(url.startswith("data:") for url in tags.urls)
    text = " ".join(tags.text.split())
    for expected in (
        "flights v1",
        "Time is compressed.",
        "2,100 rows answered",
        "200 known labels",
        "70.0% accuracy",
        "80.0% accuracy on held-out rows",
        "1 of 2 features drifted",
        "DriftFeatureCritical x critical",
        "PSI 1.23 of 1,510 rows over 5m",
        "carrier AA 100.0% 20.0% 50 significant",
        "FOLDER='a b' tidegate trace " + f"{80:032x}",
        "3,310 drift",
    ):
        assert expected in text, expected
    assert "<Apr>" in text  # text, not a tag
    assert "Kibana" not in text


def test_examples_link_to_kibana_if_configured(model: Model, rows: LabelledRows) -> None:
    html = to_html(findings(model, rows), kibana="http://127.0.0.1:5601/")
    url = kibana_trace_url("http://127.0.0.1:5601", f"{80:032x}")
    assert url.replace("&", "&amp;").replace("'", "&#39;") in html
    assert url.startswith("http://127.0.0.1:5601/app/discover#/")
    assert f"trace.id:%22{80:032x}%22" in url


def test_the_link_is_the_documented_one() -> None:
    from pathlib import Path

    page = Path(__file__).parents[4] / "docs" / "reference" / "kibana.md"
    assert kibana_trace_url("http://127.0.0.1:5601", "ID") in page.read_text(encoding="utf-8")


def test_without_labels_and_prometheus_the_page_says_so(model: Model) -> None:
    html = to_html(findings(model, rows_of([], [], []), Counters(error="it does not respond")))
    text = " ".join(Tags(html).text.split())
    assert "No distributions: it does not respond." in text
    # Drift and alerts are unknown, not absent.
    assert "drift unknown" in text
    assert "unknown features drifted" in text
    assert text.count("unknown") == 1 + 1 + len(PERIODS) + 1
    assert ">none<" not in html
    assert "no drift found" not in text
    assert "There are no labels yet" in text
    assert "Segments are not recorded" in text
    assert "no wrong prediction is known" in text
    assert "Drift by period" not in text


def test_a_period_without_counted_rows_is_not_shown_as_one_without_drift(
    model: Model, rows: LabelledRows
) -> None:
    found = counters(model)
    for each in found.features:
        each.counts[0] = 0
    html = to_html(findings(model, rows, found))
    assert html.count(">no rows counted<") == 1
    assert ">none<" not in html


def test_the_page_names_its_model_and_the_newer_version(model: Model, rows: LabelledRows) -> None:
    plain = to_html(findings(model, rows), model_source="models/v1, from model.path")
    assert "Model: models/v1, from model.path." in plain
    assert "answers now" not in plain
    later = replace(findings(model, rows), newer=NewerVersion("v2", 19.0))
    text = " ".join(Tags(to_html(later)).text.split())
    assert "Version v2 answers now (last at 1970-01-01 00:00:19 UTC)" in text
    assert "this report is on version v1" in text


@pytest.mark.parametrize(
    ("correct", "drifts", "error", "expected"),
    [
        # of 400 labels; accuracy on held-out rows is 80 %
        (320, False, "", ("no drift found", "good")),
        (320, True, "", ("1 feature drifted", "doubtful")),
        (304, False, "", ("accuracy down 4.0 percentage points", "doubtful")),
        (288, True, "", ("accuracy down 8.0 percentage points", "bad")),
        (320, False, "away", ("drift unknown", "doubtful")),
        (304, False, "away", ("accuracy down 4.0 percentage points, drift unknown", "doubtful")),
        (288, False, "away", ("accuracy down 8.0 percentage points, drift unknown", "bad")),
    ],
)
def test_the_badge_shows_the_worst_finding(
    model: Model, correct: int, drifts: bool, error: str, expected: tuple[str, str]
) -> None:
    labels = rows_of([15.0] * 400, [True] * correct + [False] * (400 - correct), [0.8] * 400)
    found = findings(model, labels, counters(model) if drifts else Counters(error=error))
    assert badge(found) == expected


def test_few_labels_or_an_unmeasured_model_show_no_drop(model: Model) -> None:
    few = rows_of([15.0] * 10, [False] * 10, [0.8] * 10)
    assert badge(findings(model, few, Counters())) == ("no drift found", "good")
    unmeasured = replace(model, accuracy=None)
    many = rows_of([15.0] * 400, [False] * 400, [0.8] * 400)
    assert badge(findings(unmeasured, many, Counters())) == ("no drift found", "good")


@pytest.mark.parametrize("name", PLOTS)
def test_every_plot_is_drawn_in_both_themes(name: str, model: Model, rows: LabelledRows) -> None:
    found = findings(model, rows)
    plain = replace(
        found,
        model=replace(
            model,
            accuracy=None,
            reference=model.reference.model_copy(update={"calibration": None}),
        ),
    )
    for theme in (LIGHT, DARK):
        assert PLOTS[name](found, theme).axes
        assert PLOTS[name](plain, theme).axes


@pytest.mark.parametrize("name", ["drift", "features", "accuracy"])
def test_names_are_text_and_no_formulas_in_a_plot(
    name: str, model: Model, rows: LabelledRows
) -> None:
    formula = "$x_{$"
    found = counters(model)
    assert found.predictions
    predictions = replace(found.predictions, bins=(formula, "on_time"))
    features = [replace(each, name=formula) for each in found.features]
    shown = findings(model, rows, replace(found, features=features, predictions=predictions))
    # matplotlib writes each text beside its outlines as a comment.
    drawn = as_bytes(PLOTS[name](shown, LIGHT), "svg").decode("utf-8")
    assert formula in "".join(re.findall(r"<!-- (.*?) -->", drawn))


def test_without_explanations_their_column_is_absent(model: Model, rows: LabelledRows) -> None:
    found = findings(model, rows)
    assert ">explanation" in to_html(found)
    assert ">explanation" not in to_html(replace(found, explanations={}))


def test_times_have_a_date_if_the_report_spans_a_day(model: Model, rows: LabelledRows) -> None:
    found = findings(model, rows)
    assert "<td>00:00:12</td>" in to_html(found)
    long = replace(found, span=Period("all", 0, 86_400))
    assert "<td>1970-01-01 00:00:12</td>" in to_html(long)


def test_each_of_three_labels_has_a_line(model: Model, rows: LabelledRows) -> None:
    reference = model.reference.model_copy(update={"predictions": (1, 2, 3)})
    three = prediction_distribution(
        reference, ("a", "b", "c"), {("a",): np.array([1.0, 0.0])}, 2, 0.01
    )
    found = findings(model, rows, replace(counters(model), predictions=three))
    shares = PLOTS["accuracy"](found, LIGHT).axes[1]
    assert shares.get_title(loc="left").startswith("Fraction of rows predicted as each label")


def test_close_ticks_have_different_labels(model: Model) -> None:
    labels = rows_of([15.0] * 4000, [True] * 3200 + [False] * 800, [0.8] * 4000)
    figure = PLOTS["accuracy"](findings(model, labels), LIGHT)
    figure.canvas.draw()
    for axes in figure.axes:
        shown = [each.get_text() for each in axes.get_yticklabels()]
        assert len(set(shown)) == len(shown) > 2, shown
