"""The section about labels of the dashboard "Model": is the model still accurate?"""

from __future__ import annotations

from typing import Final

from tidegate.rules.promql import number as digits
from tidegate.settings import Drift
from tools.generate.grafana.board import Line
from tools.generate.grafana.drift import HELD_OUT, last
from tools.generate.grafana.panels import graph
from tools.generate.grafana.queries import WINDOW, series

SEEN: Final = "{{detector}} {{version}}"
_WATCH: Final = "tidegate_watch"
NONE_YET: Final = "No labels yet: they come by POST /feedback"


def truth(drift: Drift) -> list[Line]:
    """The panels about accuracy, its significance, and the labels that arrived."""
    return [
        Line(
            9,
            [
                graph(
                    "Share of right labels",
                    "Of those whose truth is known by now, over the chosen window, against held-out rows.",
                    series(last("model:accuracy_realised:$window"), "realised"),
                    series(HELD_OUT, "held-out rows"),
                    unit="percentunit",
                    top=1,
                    without=NONE_YET,
                    alerts=("ModelAccuracyWarning", "ModelAccuracyCritical"),
                ),
                graph(
                    "Errors, in standard deviations",
                    f"By how much there are more than on held-out rows. Above {digits(drift.error_z)} it is "
                    "no chance: what the model has learned may no longer hold. Missing below "
                    f"{drift.outcomes} labels.",
                    series(last("model:error_z:$window"), "{{model}} {{version}}"),
                    unit="short",
                    limits=(drift.error_z,),
                    signed=True,
                    without=NONE_YET,
                    alerts=("ModelConceptDrift",),
                ),
                graph(
                    "Precision and recall",
                    "Of each label: how many of those given are right, how many of the true were found.",
                    series(last("model:precision:$window"), "precision of {{label}}"),
                    series(last("model:recall:$window"), "recall of {{label}}"),
                    unit="percentunit",
                    top=1,
                    without=NONE_YET,
                ),
            ],
        ),
        Line(
            8,
            [
                graph(
                    "Labels",
                    "Those that came, by whether the answer was right.",
                    series(
                        f'sum by (correct) (rate(ml_outcomes_total{{job="model"}}[{WINDOW}]))',
                        "right: {{correct}}",
                    ),
                    unit="short",
                    stacked=True,
                    without=NONE_YET,
                ),
                graph(
                    "Labels refused",
                    "By the reason. Forged ones are none that this model gave, or were changed.",
                    series(
                        f'sum by (reason) (rate(ml_feedback_refused_total{{job="model"}}[{WINDOW}]))',
                        "{{reason}}",
                    ),
                    unit="short",
                    alerts=("ModelFeedbackForged",),
                ),
                graph(
                    "Age of labels, median",
                    "From an answer to its label, over an hour: what is known of the model is that old.",
                    series(last("model:label_lag_seconds_p50:1h"), "{{model}} {{version}}"),
                    unit="s",
                    without=NONE_YET,
                    alerts=("ModelLabelsLate",),
                ),
            ],
        ),
        Line(
            8,
            [
                graph(
                    "Error rate, label by label",
                    "As the detectors of `tidegate monitor watch` see it: z over the last labels, ADWIN over "
                    "as many as are alike.",
                    series(f"max by (version, detector) ({_WATCH}_error_ratio)", SEEN),
                    unit="percentunit",
                    top=1,
                    without=NONE_YET,
                ),
                graph(
                    "Errors among the last labels, in standard deviations",
                    f"Above {digits(drift.error_z)} the z-test finds a change: after some hundred labels, "
                    "however long they take.",
                    series(f"max by (model, version) ({_WATCH}_error_z)", "{{model}} {{version}}"),
                    unit="short",
                    limits=(drift.error_z,),
                    signed=True,
                    without=NONE_YET,
                ),
                graph(
                    "Since the last change",
                    "Of the error rate, for the worse or for the better. Each change is an event of the "
                    "dataset tidegate.drift, which says from where to where.",
                    series(
                        f"time() - max by (version, detector) ({_WATCH}_change_timestamp_seconds)",
                        SEEN,
                    ),
                    unit="s",
                    without="No change was found",
                    alerts=("ModelErrorRateChanged", "WatchDown"),
                ),
            ],
        ),
    ]
