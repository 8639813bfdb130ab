"""A model in an application of the user's own: counts its rows, predictions and true labels."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from time import time_ns
from typing import Any, Final

import numpy as np
from prometheus_client import CollectorRegistry, Counter

from tidegate.monitoring.counting.model_metrics import ModelMonitor
from tidegate.monitoring.counting.reference import Reference
from tidegate.monitoring.feedback.outcomes import Outcome
from tidegate.monitoring.feedback.prediction_ids import PredictionIds
from tidegate.monitoring.feedback.processor import FeedbackProcessor, foreign, read_prediction
from tidegate.monitoring.tasks.answers import Answers, listed
from tidegate.monitoring.tasks.model import Model
from tidegate.monitoring.tasks.registry import TASKS, TaskName, task_of
from tidegate.monitoring.tasks.task import Task
from tidegate.monitoring.watching.row_encoder import RowEncoder
from tidegate.monitoring.watching.table import Table, read_table
from tidegate.settings import Drift

MAX_ROWS: Final = 65_536
"""Largest number of rows of one call: an id has the index of its row in 2 bytes."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Host:
    """What the model needs of its application."""

    request_ids: Callable[[], tuple[str, str] | None]
    """The trace id and the span id of the current request; None outside a request."""
    annotate: Callable[..., None]
    """Adds fields to the current request's event."""
    write_outcome: Callable[[str, dict[str, Any]], None]
    """Writes the event of an outcome: its id and its fields."""
    warn: Callable[[str], None]
    """Logs a text."""


class WatchedModel:
    """Records a model's rows, predictions and true labels. Thread-safe.

    Without a reference predictions and labels are counted, and there is no drift. `key` signs prediction ids.

    Raises:
        ValueError: the name or the version is invalid.
    """

    def __init__(
        self,
        name: str,
        version: str,
        *,
        reference: Reference | None,
        key: bytes,
        drift: Drift,
        host: Host,
    ) -> None:
        for what, text in (("name", name), ("version", version)):
            if not isinstance(text, str) or not _NAME.fullmatch(text):
                raise ValueError(
                    f"the model's {what} should have 1 to 100 letters, digits, dots, hyphens or underscores, "
                    f"and begin with a letter or digit; got {text!r}"
                )
        self.name: Final = name
        self.version: Final = version
        self.registry: Final = CollectorRegistry()
        if reference is not None and reference.predictions:
            # Counts of classes without their names: of an artefact, whose manifest has them.
            reference = reference.model_copy(update={"predictions": ()})
        self._reference, self._key, self._drift, self._host = reference, key, drift, host
        self._ids = PredictionIds(key, version, b"")  # until the task is known, only to read
        self._lock = threading.Lock()
        predictions = Counter(
            "tidegate_predictions_total",
            "Predicted rows, by label.",
            ("model", "version", "label"),
            registry=self.registry,
        )
        self._counter_of = cache(partial(predictions.labels, name, version))
        self._monitor: ModelMonitor | None = None
        self._encoder: RowEncoder | None = None
        self._task: Task | None = None
        self._feedback: FeedbackProcessor | None = None
        if reference is not None:
            self._encoder = RowEncoder(reference.features, host.warn)
            self._monitor = ModelMonitor(
                name,
                version,
                reference,
                categories=self._encoder.categories,
                significance=drift.significance,
                accuracy=reference.accuracy,
            )
            self.registry.register(self._monitor)
            if reference.prediction is not None:
                self._open(task_of(reference))

    def observe(
        self, rows: object, predictions: object, confidences: object | None = None
    ) -> list[str]:
        """Count the rows of a call of the model, and what it predicted for them.

        Within a request it adds the model, the number of rows and the prediction to the request's event.

        Args:
            rows: a list of dicts, a dict of columns, a DataFrame, or an array of shape [rows, features]; None
                if only the predictions are counted. A category that the reference does not have counts as
                `other`, a value of a wrong type as missing.
            predictions: a label or a number for each row.
            confidences: the probability of each predicted label.

        Returns:
            For each row the id by which `outcome` takes its true label.

        Raises:
            ValueError: rows, predictions and confidences have different lengths, or are not of the task of
                the reference.
        """
        if self._task is None and not listed(predictions, "predictions"):
            return []  # which says nothing about the task
        task = self._task or self._open(_task_of(predictions))
        answers = task.read(predictions, confidences)
        table = None if rows is None else read_table(rows)
        self._check(table, answers)
        matrix = None
        if table is not None and self._encoder is not None:
            matrix = self._encoder.encode(table)
        with self._lock:
            for label, count in answers.counts.items():
                if count:
                    self._counter_of(label).inc(count)
            if self._monitor is not None:
                self._monitor.observe(
                    np.empty((0, 0)) if matrix is None else matrix, answers.scores
                )
        self._annotate(table, answers)
        request = self._host.request_ids() or (secrets.token_hex(16), secrets.token_hex(8))
        return answers.sign(self._ids, time_ns() // 1000, request)

    def outcome(self, prediction_id: str, label: object) -> Outcome:
        """Count the true label of a prediction, and write its event.

        Args:
            prediction_id: the id from `observe`, of this process or of another one of this installation.
            label: the true label; a number for a regressor.

        Returns:
            The prediction with its true label.

        Raises:
            OutcomeRefusedError: it is not counted; its text and its `reason` say why.
        """
        feedback = self._feedback
        if feedback is None:  # its predictions are from before this process started
            self._open(self._task_of_id(prediction_id))
            feedback = self._feedback
        assert feedback is not None  # noqa: S101 (it is opened with the task)
        with self._lock:
            outcome = feedback.accept(prediction_id, label, time_ns() // 1000)
        self._host.write_outcome(outcome.prediction.outcome_id, outcome.fields(self.name))
        return outcome

    def _check(self, table: Table | None, answers: Answers) -> None:
        if table is not None and len(table) != len(answers):
            raise ValueError(f"there are {len(table)} rows and {len(answers)} predictions")
        if len(answers) > MAX_ROWS:
            raise ValueError(
                f"there are {len(answers)} rows; observe at most {MAX_ROWS} in one call"
            )

    def _annotate(self, table: Table | None, answers: Answers) -> None:
        fields: dict[str, Any] = {
            "model": {"name": self.name, "version": self.version},
            "rows": len(answers),
        }
        if answers.fields:
            fields["prediction"] = answers.fields
        if self._encoder is not None and table is not None and self._drift.segments:
            fields["segments"] = self._encoder.segments(table, self._drift.segments)
        self._host.annotate(**fields)

    def _open(self, task_name: TaskName) -> Task:
        with self._lock:
            if self._task is not None:  # another thread has opened it
                return self._task
            reference = self._reference or Reference(samples=0, features=())
            model = Model(self.name, self.version, (), reference.accuracy, reference)
            task = TASKS[task_name](model, self._drift)
            for label in task.labels:
                self._counter_of(label)
            self._feedback = FeedbackProcessor(
                self.name,
                self.version,
                task.truth,
                key=self._key,
                drift=self._drift,
                registry=self.registry,
            )
            self._ids = self._feedback.ids
            self._task = task
            return task

    def _task_of_id(self, prediction_id: object) -> TaskName:
        """The task of the model that made a prediction.

        Raises:
            OutcomeRefusedError: it is no id, or that of another model, which says nothing about this one.
        """
        found = read_prediction(self._ids, prediction_id)
        for name, task in TASKS.items():
            if found.digest == task.digest(self.name):
                return name
        raise foreign(found.version, self.name, self.version)


def _task_of(predictions: object) -> TaskName:
    """The task of predictions without a reference: decimal numbers are values, all else is labels."""
    values = listed(predictions, "predictions")
    is_value = all(isinstance(value, float | np.floating) for value in values)
    return "regression" if is_value else "classification"
