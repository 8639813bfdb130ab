"""Regression: a number for each row, with its interval if the model was calibrated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from tidegate.monitoring.counting.reference import Reference
from tidegate.monitoring.counting.value_labels import ValueLabels
from tidegate.monitoring.feedback.prediction_ids import PredictionIds
from tidegate.monitoring.tasks.regression import ValueTruth
from tidegate.service.model.artefact import ArtefactError, Manifest
from tidegate.service.model.predictions import Numbers
from tidegate.service.model.signature import Signature, Target
from tidegate.service.model.tasks.contract import Agreement, Compare, Output, Task
from tidegate.service.model.tasks.python_results import finite, single
from tidegate.service.model.tensor_spec import TensorSpec

VALUE: Final = "value"
INTERVAL: Final = "interval"


class RegressionTask(Task[Numbers]):
    """The predictions of a regressor."""

    summary: ClassVar[str] = "A value for each instance"

    def __init__(self, signature: Signature, reference: Reference | None = None) -> None:
        self._target = signature.target or Target()
        self._bins = ValueLabels(None if reference is None else reference.prediction)
        self._residuals = None if reference is None else reference.residuals
        self._half_width = None if self._residuals is None else self._residuals.half_width
        self.labels = self._bins.names
        # FP64, as a graph may compute in either precision.
        outputs = [TensorSpec(name=VALUE, datatype="FP64", shape=(-1,))]
        if self._half_width is not None:
            outputs.append(TensorSpec(name=INTERVAL, datatype="FP64", shape=(-1, 2)))
        self.outputs = tuple(outputs)

    @classmethod
    def declared(cls, predictor: Any) -> dict[str, Any]:
        """Its target, or only the name of it."""
        target = getattr(predictor, "target", None)
        named = {"name": target} if isinstance(target, str) else target
        return {"target": Target.model_validate(named or {})}

    def from_results(self, results: Sequence[Any]) -> Numbers:
        """A number for each row, or a list of one."""
        values = [
            finite(single(result), number, "a number") for number, result in enumerate(results)
        ]
        return np.array(values, np.float64)

    def from_graph(self, arrays: Sequence[npt.NDArray[Any]]) -> Numbers:
        """The values, of shape [rows] or [rows, 1] in the graph."""
        (values,) = arrays
        # Some graphs count: an interval needs fractions.
        values = values.astype(np.float64) if values.dtype.kind in "iu" else values
        return values.reshape(-1)

    def check(self, prediction: Numbers, rows: int) -> None:
        """Check that there is one number for each row."""
        if prediction.shape != (rows,) or prediction.dtype.kind != "f":
            raise ValueError(
                f"it answers {prediction.size} values of type {prediction.dtype} for {rows} rows, not one "
                "number for each row"
            )

    def answers(self, prediction: Numbers) -> list[dict[str, Any]]:
        """The value, and its interval if the model was calibrated."""
        # numpy's scalars, as orjson writes those of float32 in their shortest form.
        values = list(prediction)
        if self._half_width is None:
            return [{VALUE: value} for value in values]
        return [
            {VALUE: value, INTERVAL: interval}
            for value, interval in zip(values, self._intervals(prediction), strict=True)
        ]

    def tensors(self, prediction: Numbers) -> dict[str, Output]:
        """The values, and their intervals."""
        found: dict[str, Output] = {VALUE: prediction}
        if self._half_width is not None:
            found[INTERVAL] = self._intervals(prediction)
        return found

    def counts(self, prediction: Numbers) -> list[int]:
        """The number of values in each bin."""
        return self._bins.counts(prediction)

    def event_fields(self, prediction: Numbers, counts: Sequence[int]) -> dict[str, Any]:
        """The most frequent bin, and the mean of the values that are finite."""
        mean = _mean(prediction)
        label = {"label": self.labels[counts.index(max(counts))]}
        return label if mean is None else label | {VALUE: mean}

    def scores(self, prediction: Numbers) -> npt.NDArray[np.floating[Any]]:
        """The values."""
        return prediction

    def truth(self, manifest: Manifest) -> ValueTruth:
        """A number."""
        residuals = self._residuals
        return ValueTruth(
            manifest.name,
            target=self._target.name,
            unit=self._target.unit,
            coverage=None if residuals is None else residuals.held_out_coverage,
        )

    def sign(
        self, ids: PredictionIds, at_us: int, request: tuple[str, str], prediction: Numbers
    ) -> list[str]:
        """Ids with the value and the width of its interval."""
        return ids.make_values(at_us, request, prediction.tolist(), self._half_width)

    def comparison(self, shadow: Signature) -> Compare:
        """Whether the shadow's value lies in the interval of the serving model's."""
        half_width = self._half_width
        if half_width is None:
            raise ArtefactError(
                "cannot be compared: the serving regressor has no calibrated interval within which two "
                "values agree; import it with held-out rows and their true values"
            )

        def compare(served: Numbers, found: Numbers) -> Agreement:
            difference = np.abs(found.astype(np.float64) - served)
            fields = {VALUE: _mean(found), "difference": _mean(difference)}
            mean = _mean(served)
            return Agreement(
                agreed=int((difference <= half_width).sum()),
                served={} if mean is None else {VALUE: mean},
                shadow={name: value for name, value in fields.items() if value is not None},
            )

        return compare

    def differences(self, other: Signature) -> list[str]:
        """Another target."""
        target = other.target or Target()
        mine, others = ((each.name, each.unit) for each in (self._target, target))
        if mine == others:
            return []
        named = [f"{name} [{unit}]" if unit else name for name, unit in (others, mine)]
        return ["it predicts {}, not {}".format(*named)]

    def answer_fields(self) -> dict[str, Any]:
        """With the target's name and unit, and the coverage of the interval."""
        described = self._target.description or self._target.name
        if self._target.unit:
            described += f" [{self._target.unit}]"
        value = Field(description=f"{described}; null if it is not finite")
        fields: dict[str, Any] = {VALUE: (float | None, value)}
        if self._residuals is not None:
            coverage = (
                f"Contains the true value with a probability of {self._residuals.coverage:.0%}"
            )
            interval = Field(min_length=2, max_length=2, description=coverage)
            fields[INTERVAL] = (list[float | None], interval)
        return fields

    def label_type(self) -> Any:
        """A number."""
        return float

    def _intervals(self, prediction: Numbers) -> npt.NDArray[Any]:
        half_width = self._half_width or 0.0
        values = prediction.astype(np.float64)
        ends = np.stack([values - half_width, values + half_width], axis=1)
        # As float32, so that orjson writes an end as short as its value.
        return ends.astype(prediction.dtype)


def _mean(values: npt.NDArray[Any]) -> float | None:
    finite = values[np.isfinite(values)]
    return float(f"{finite.mean(dtype=np.float64):.6g}") if finite.size else None
