"""Labelled rows, the origin of events and the content of a page, for the tests of the drift report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html.parser import HTMLParser

import numpy as np

from tidegate.drift.report.labelled_rows import LabelledRows
from tidegate.drift.report.labelled_values import LabelledValues
from tidegate.events.event import Event, Origin

ORIGIN = Origin("flights", "1", "test", "flights-1", "default")
MakeEvent = Callable[..., Event]


def rows_of(
    answered: Sequence[float],
    right: Sequence[bool],
    confidence: Sequence[float],
    **segments: Sequence[str],
) -> LabelledRows:
    """Rows that were all predicted as `late`."""
    return LabelledRows(
        np.array(answered, np.float64),
        np.full(len(right), "late"),
        np.where(np.array(right, np.bool_), "late", "on_time"),
        np.array(confidence),
        np.array([f"{at:032x}" for at in range(len(right))], np.str_),
        np.arange(len(right)),
        {name: np.array(values, np.str_) for name, values in segments.items()},
    )


def values_of(
    answered: Sequence[float],
    predicted: Sequence[float],
    actual: Sequence[float],
    half_width: float = 10.0,
    **segments: Sequence[str],
) -> LabelledValues:
    """Rows of a regressor whose intervals have this half width."""
    residuals = np.abs(np.array(actual, np.float64) - np.array(predicted, np.float64))
    return LabelledValues(
        np.array(answered, np.float64),
        np.array(predicted, np.float64),
        np.array(actual, np.float64),
        (residuals <= half_width).astype(np.float64),
        np.array([f"{at:032x}" for at in range(len(answered))], np.str_),
        np.arange(len(answered)),
        {name: np.array(values, np.str_) for name, values in segments.items()},
    )


class Tags(HTMLParser):
    """Every URL that a browser would fetch, and all text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "a":
            self.urls += [v or "" for name, v in attrs if name in {"src", "srcset", "href"}]

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"
