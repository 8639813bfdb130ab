"""The bins of the drift reference, and the counts of the training rows in them."""

from __future__ import annotations

import numpy as np

from tidegate.monitoring.counting.number_bins import edges_of
from tidegate.monitoring.counting.reference import Reference, count_numbers
from tidegate.monitoring.counting.residuals import calibrate_residuals
from tidegate.service.artefacts.reference import build_reference, observed
from tidegate.service.model.features import Feature

CARRIER = Feature(name="carrier", kind="category", categories=("AA", "UA"))


def test_deciles_are_the_edges_of_evenly_spread_values() -> None:
    assert edges_of(np.arange(101.0)) == tuple(range(0, 101, 10))


def test_a_feature_that_is_always_missing_has_no_edges() -> None:
    reference = build_reference([Feature(name="x", missing=True)], np.full((3, 1), np.nan, "f4"))
    (x,) = reference.features
    assert x.edges == ()
    assert dict(zip(x.bins, x.counts, strict=True)) == {"under": 0, "over": 0, "missing": 3}
    assert count_numbers((), np.array([1.0, np.nan])).tolist() == [0, 1, 1]


def test_rare_categories_share_a_bin() -> None:
    names = tuple(f"c{i:02}" for i in range(30))
    feature = Feature(name="dest", kind="category", categories=names, missing=True)
    codes = [code for code in range(30) for _ in range(code + 1)]
    reference = build_reference([feature], np.array([[*codes, np.nan]], "f4").T)
    counts = dict(zip(reference.features[0].bins, reference.features[0].counts, strict=True))
    assert counts["c29"] == 30
    assert counts["other"] == sum(range(1, 11))
    assert counts["missing"] == 1
    assert len(counts) == 22
    assert sum(counts.values()) == reference.samples == len(codes) + 1


def test_the_reference_of_a_regressor_has_the_bins_of_its_predictions_and_its_residuals() -> None:
    predicted = np.arange(100, dtype="f4")
    residuals = calibrate_residuals(predicted, predicted + 2)
    reference = build_reference(
        [Feature(name="x")], np.ones((3, 1), "f4"), predicted, residuals=residuals
    )
    assert reference.prediction is not None
    assert sum(reference.prediction.counts) == 100
    assert reference.residuals == residuals
    assert Reference.model_validate_json(reference.model_dump_json()) == reference


def test_the_range_of_a_feature_is_that_of_its_known_values() -> None:
    features = [Feature(name="x"), Feature(name="y"), CARRIER]
    rows = np.array([[12.65858, np.nan, 0], [np.inf, np.nan, 1]], "f4")
    found = observed(features, rows)
    assert [feature.observed for feature in found] == [(12.65858, 12.65858), None, None]
