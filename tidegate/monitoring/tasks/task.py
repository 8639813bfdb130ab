"""The contract of a task: all that the monitoring of a model asks about its kind of predictions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tidegate.monitoring.counting.distributions import Distribution
from tidegate.monitoring.feedback.outcomes import Truth
from tidegate.monitoring.tasks.answers import Answers
from tidegate.monitoring.tasks.labelled_rows import Floats, LabelledRows
from tidegate.monitoring.tasks.model import Model
from tidegate.monitoring.tasks.number_format import Format
from tidegate.monitoring.tasks.panel import Panel
from tidegate.monitoring.tasks.periods import Quality
from tidegate.settings import Drift


@dataclass(frozen=True, slots=True)
class Column:
    """The title of a column of a table, and the text of its cell for a `Quality` or an `Example`."""

    title: str
    text: Callable[[Any], str]
    left: bool = False


class Task(ABC):
    """What a model predicts. A row's measure is whether it is correct, or how large its error is."""

    truth: Truth
    """What a true label is."""
    known: ClassVar[tuple[str, ...]]
    """What is read of an outcome beside the prediction and the truth."""
    further: ClassVar[tuple[str, ...]]
    """The names of further measures of some rows."""
    dtype: ClassVar[type[np.generic]]
    """The type of a prediction."""
    larger_is_worse: ClassVar[bool] = False
    """Whether a larger measure is a worse one."""
    compares_predictions: ClassVar[bool] = False
    """Whether the distribution of the predictions is compared with that at training, too."""
    fractions: ClassVar[bool] = False
    """Whether the measure is a fraction."""
    labels_name: ClassVar[str]
    """What true labels are called."""
    quality_title: ClassVar[str]
    """The heading of the section about the quality by period; those of the other sections follow."""
    detail_title: ClassVar[str]
    segments_title: ClassVar[str]
    examples_title: ClassVar[str]
    right: ClassVar[str]
    """The field of an outcome's event that says whether the prediction was right."""
    right_held_out: ClassVar[str]
    """The field with the fraction of held-out rows for which it was."""
    wrong_name: ClassVar[str]
    """What the fraction of the others is called."""

    def __init__(self, model: Model, drift: Drift) -> None:
        self.model, self.drift = model, drift

    @staticmethod
    @abstractmethod
    def digest(model: str) -> bytes:
        """The digest in the prediction ids of a model of this name, whose labels are not known in advance."""

    @property
    @abstractmethod
    def labels(self) -> tuple[str, ...]:
        """The labels of `tidegate_predictions_total` that are known in advance."""

    @abstractmethod
    def read(self, predictions: object, confidences: object | None) -> Answers:
        """The predictions of one call.

        Raises:
            ValueError: they are not of this task, or there is another number of confidences.
        """

    @abstractmethod
    def row(self, outcome: Mapping[str, Any]) -> tuple[Any, Any, tuple[float, ...]]:
        """What was predicted, what is true, and each of `known`, in `tidegate.outcome` of an event.

        Raises:
            KeyError, TypeError, ValueError: a field is missing, or it is not of this task.
        """

    @abstractmethod
    def measure(self, rows: LabelledRows) -> Floats:
        """The measure of each row."""

    @abstractmethod
    def score(self, rows: LabelledRows) -> Floats:
        """What the expected measure of a row is a function of; NaN if unknown."""

    def detail(self, rows: LabelledRows) -> Floats:
        """What is drawn of each row by its score."""
        return self.measure(rows)

    @abstractmethod
    def further_measures(self, rows: LabelledRows) -> tuple[float, ...]:
        """Each of `further`, of at least one row; NaN if unknown."""

    @abstractmethod
    def variance(self, earlier: Floats, newest: Floats) -> float:
        """The variance of the difference of the means of the measures of two samples."""

    @abstractmethod
    def worst(self, rows: LabelledRows) -> npt.NDArray[np.intp]:
        """The indices of the worst predictions, the worst one first."""

    @abstractmethod
    def held_out(self) -> float | None:
        """The mean measure on held-out rows; None if unknown."""

    @abstractmethod
    def worsening(self, quality: Quality) -> float:
        """By how much a period is worse than held-out rows, in the unit of `limits`.

        It is 0 or less if it is not, or if the period has too few labels.
        """

    @abstractmethod
    def limits(self) -> tuple[float, float]:
        """The worsening that is a warning, and the one that is critical."""

    @abstractmethod
    def worsened(self, by: float) -> str:
        """A worsening in a few words."""

    @abstractmethod
    def title(self) -> str:
        """The name of the mean measure, with its unit."""

    @abstractmethod
    def format(self, overall: Quality) -> Format:
        """Formats measures, given the quality of all rows."""

    @abstractmethod
    def tiles(self, overall: Quality, text: Format) -> Sequence[tuple[str, str]]:
        """The figures at the top of a report, with what they are."""

    def summary(self, overall: Quality, newest: Quality | None) -> Iterator[str]:
        """Sentences of a report about the errors of all rows, and of the last period with labels."""
        return iter(())

    @abstractmethod
    def columns(self, text: Format) -> Sequence[Column]:
        """The measures of a period."""

    @abstractmethod
    def note(self) -> str:
        """How the table of periods is to be read."""

    @abstractmethod
    def example_columns(self, text: Format) -> Sequence[Column]:
        """What is shown of an example."""

    @abstractmethod
    def by_period(
        self, quality: Sequence[Quality], predictions: Distribution | None
    ) -> Panel | None:
        """What is drawn below the measure by period; None if there is nothing."""

    @abstractmethod
    def by_score(self, rows: LabelledRows) -> Panel:
        """The plot of the rows by score; there is at least one."""
