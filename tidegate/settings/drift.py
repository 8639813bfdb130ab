"""The section of model monitoring."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from tidegate.settings.section import Age, OrderError, Port, Ratio, Seconds, Section


class Drift(Section):
    """Model monitoring: drift of inputs and predictions, and accuracy or errors by labels."""

    psi_warning: float = Field(default=0.1, gt=0, le=10)
    """Population stability index above which the drift of a distribution is a warning."""
    psi_critical: float = Field(default=0.25, gt=0, le=10)
    """Population stability index above which the drift of a distribution is critical."""
    samples: int = Field(default=1000, ge=1, le=10**9)
    """Minimum number of rows in a window to evaluate its drift."""
    fast_samples: int = Field(default=300, ge=1, le=10**9)
    """The same for the shortest window, which has critical alerts only."""
    significance: float = Field(default=0.01, gt=0, lt=1)
    """Accepted probability of a false finding in a window, over all features together."""
    dataset_share: float = Field(default=0.5, gt=0, le=1)
    """Fraction of drifted features at which the whole data set counts as drifted."""
    hold_seconds: Seconds = 120.0
    """Time that drift must last before an alert fires."""
    outcomes: int = Field(default=300, ge=30, le=10**9)
    """Minimum number of labels in a window to evaluate the accuracy."""
    accuracy_drop_warning: Ratio = 0.03
    """Drop of the accuracy below the accuracy on held-out rows that is a warning; for a regressor, drop of
    the fraction of actual values inside the predicted interval."""
    accuracy_drop_critical: Ratio = 0.06
    """Drop of the accuracy below the accuracy on held-out rows that is critical."""
    error_rise_warning: float = Field(default=0.15, gt=0, le=100)
    """Rise of a regressor's mean absolute error above that on held-out rows, as a fraction of it, that is a
    warning."""
    error_rise_critical: float = Field(default=0.3, gt=0, le=100)
    """Rise of a regressor's mean absolute error above that on held-out rows, as a fraction of it, that is
    critical."""
    error_z: float = Field(default=4.5, gt=0, le=20)
    """Number of standard deviations by which the error rate, or the mean absolute error of a regressor, must
    exceed that on held-out rows for concept drift."""
    label_lag_seconds: Age = 172_800.0
    """Median lag of labels above which there is a warning."""
    label_accept_seconds: Age = 604_800.0
    """Maximum age of a prediction at which a label for it is accepted."""
    keep_rows_share: Ratio = 0.0
    """Fraction of requests at /predict whose rows are stored as events, for `tidegate retrain`. 0 by default,
    because rows may contain personal data and need disk space."""
    label_memory: int = Field(default=200_000, ge=1, le=10**8)
    """Number of labelled prediction ids that each replica remembers, so that no label is counted twice."""
    prediction_key_file: Path | None = None
    """File with the key that signs prediction ids; unset means `prediction.key` in the data folder."""
    watch: bool = True
    """Whether the stack runs `tidegate monitor watch`, which evaluates each label when it arrives."""
    watch_port: Port = 9105
    """Port of the metrics of `tidegate monitor watch`."""
    segments: tuple[str, ...] = ()
    """Categorical features whose values are stored in the event of each request, such as `["carrier"]`, so
    that `tidegate monitor report` can compare the accuracy by value. Empty by default, because values may be
    personal data."""

    @model_validator(mode="after")
    def _in_order(self) -> Drift:
        if self.psi_warning >= self.psi_critical:
            raise OrderError(
                "psi_warning < psi_critical",
                psi_warning=self.psi_warning,
                psi_critical=self.psi_critical,
            )
        if self.error_rise_warning >= self.error_rise_critical:
            raise OrderError(
                "error_rise_warning < error_rise_critical",
                error_rise_warning=self.error_rise_warning,
                error_rise_critical=self.error_rise_critical,
            )
        return self
