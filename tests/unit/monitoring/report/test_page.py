"""The page is one file with every finding on a classifier or a regressor, in both themes."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from support.harnesses.html_page import HtmlPage
from support.samples.drift_report import (
    CLASSIFIER,
    PERIODS,
    REGRESSOR,
    counters,
    findings,
    labels,
    rows_of,
    values,
    values_of,
)
from tidegate.loadgen.report.theme import DARK, LIGHT
from tidegate.monitoring.report.findings import Counters, Findings, NewerVersion
from tidegate.monitoring.report.page import to_html
from tidegate.monitoring.report.plots import PLOTS
from tidegate.monitoring.tasks.registry import make_task

FINDINGS = {
    "classifier": findings(CLASSIFIER, labels()),
    "regressor": findings(REGRESSOR, values(2.0), counters(REGRESSOR, drifted=False)),
}


FOUND = FINDINGS["classifier"]


@pytest.mark.parametrize(
    ("kind", "texts", "absent"),
    [
        (
            "classifier",
            (
                "flights v1",
                "2,100 rows answered",
                "200 known labels",
                "70.0% accuracy",
                "80.0% accuracy on held-out rows",
                "1 of 2 features drifted",
                "distribution PSI rows",
                "carrier AA 100.0% 20.0% 50 significant",
                f"late on_time 90.0% 00:00:05 80 UA FOLDER='a b' tidegate trace {80:032x}",
                "3,310 drift 0 to 1: 50 → 27 %, 1 to 2: 50 → 73 %",
                "x 0.00 2.44",
                "Most gained: 1 to 2, 50 → 73 %",
            ),
            "residual",
        ),
        (
            "regressor",
            (
                "durations v1 error up 100 %",
                "1,000 known actual values",
                "6.00 mean absolute error (min)",
                "4.00 error on held-out rows (min)",
                "it has risen by 100 %, which chance does not explain.",
                "The distribution of the predicted values has drifted",
                "Mar 500 4.00",
                "predicted value",
                "carrier UA",
                "significant",
                f"tidegate trace {'0' * 29}",
                "outside",
            ),
            "accuracy",
        ),
    ],
)
def test_the_page_needs_no_other_file_and_shows_every_finding(
    kind: str, texts: tuple[str, ...], absent: str
) -> None:
    html = to_html(
        FINDINGS[kind], model_source="models/v1", note="A note.", command_prefix="FOLDER='a b' "
    )
    page = HtmlPage(html)
    assert page.urls
    assert all(url.startswith("data:") for url in page.urls)
    alert = "DriftFeatureCritical x critical 00:00:12 00:00:15"
    # A period's name is text, not a tag.
    for expected in (*texts, alert, "A note.", "Model: models/v1.", "<Apr>"):
        assert expected in page.text, expected
    assert absent not in page.text.lower()
    assert "Kibana" not in page.text


def test_a_distribution_in_which_nothing_gained_names_no_bin_that_gained_most() -> None:
    assert HtmlPage(to_html(FOUND)).text.count("Most gained") == 1  # of two, one has drifted


def test_examples_link_to_the_page_of_their_request() -> None:
    html = to_html(FOUND, trace_url="http://kibana/?a&id={}".format)
    assert f"http://kibana/?a&amp;id={80:032x}" in html


@pytest.mark.parametrize(
    ("empty", "texts"),
    [
        (
            findings(CLASSIFIER, rows_of([], [], []), Counters(error="it does not respond")),
            ("There are no labels yet", "none is known"),
        ),
        (
            findings(REGRESSOR, values_of([], [], []), Counters(error="it does not respond")),
            (
                "No actual value is known",
                "There are no actual values yet",
                "none is known",
            ),
        ),
    ],
    ids=["classifier", "regressor"],
)
def test_without_labels_and_prometheus_the_page_says_so(
    empty: Findings, texts: tuple[str, ...]
) -> None:
    html = to_html(empty)
    text = HtmlPage(html).text
    for expected in (*texts, "No distributions: it does not respond.", "Segments are not recorded"):
        assert expected in text, expected
    # Drift and alerts are unknown, not absent.
    assert "drift unknown" in text
    assert "unknown features drifted" in text
    assert text.count("unknown") == 1 + 1 + len(PERIODS) + 1
    assert ">none<" not in html
    assert "no drift found" not in text
    assert "Drift by period" not in text


def test_an_unknown_confidence_is_not_shown_as_a_number() -> None:
    html = to_html(findings(CLASSIFIER, rows_of([5.0], [False], [np.nan])))
    assert "late on_time - 00:00:05" in HtmlPage(html).text
    assert "nan" not in re.sub(r"base64,[^\"]+", "", html)


def test_a_reference_without_held_out_errors_has_no_comparison() -> None:
    reference = REGRESSOR.reference.model_copy(update={"residuals": None})
    found = findings(replace(REGRESSOR, reference=reference), values(2.0))
    assert found.worsening == 0
    text = HtmlPage(to_html(found)).text
    assert "there are no held-out errors to compare with" in text
    assert "- error on held-out rows" in text


def test_a_period_without_counted_rows_is_not_shown_as_one_without_drift() -> None:
    counted = counters(CLASSIFIER)
    for each in counted.features:
        each.counts[0] = 0
    html = to_html(findings(CLASSIFIER, labels(), counted))
    assert html.count(">no rows counted<") == 1
    assert ">none<" not in html


def test_the_page_names_its_model_and_the_newer_version() -> None:
    plain = to_html(FOUND, model_source="models/v1, from model.path")
    assert "Model: models/v1, from model.path." in plain
    assert "answers now" not in plain
    text = HtmlPage(to_html(replace(FOUND, newer=NewerVersion("v2", 19.0)))).text
    assert "Version v2 answers now (last at 1970-01-01 00:00:19 UTC)" in text
    assert "this report is on version v1" in text


@pytest.mark.parametrize("kind", FINDINGS)
@pytest.mark.parametrize("name", PLOTS)
def test_every_plot_is_drawn_in_both_themes(name: str, kind: str) -> None:
    found = FINDINGS[kind]
    changes = {"calibration": None, "residuals": None}
    unmeasured = replace(
        found.model, accuracy=None, reference=found.model.reference.model_copy(update=changes)
    )
    plain = replace(
        found, task=make_task(unmeasured, found.drift), counters=Counters(found.counters.features)
    )
    for theme in (LIGHT, DARK):
        assert PLOTS[name](found, theme).axes
        assert PLOTS[name](plain, theme).axes
