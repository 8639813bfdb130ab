"""Conversion to ONNX; a model that predicts differently from the original is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from support.samples.onnx_graphs import linear
from tidegate.service.artefacts.formats.sklearn_joblib import describe
from tidegate.service.artefacts.onnx_export import content
from tidegate.service.artefacts.parity import compare, convert
from tidegate.service.artefacts.source_model import class_names
from tidegate.service.model.artefact import ArtefactError
from tidegate.service.model.onnx_predictor import OnnxPredictor

WINE = load_wine()
DATA = WINE.data.astype(np.float32)


def test_a_different_handling_of_missing_values_is_detected() -> None:
    holes = DATA.copy()
    holes[np.random.default_rng(0).random(DATA.shape) < 0.3] = np.nan
    forest = RandomForestClassifier(20, random_state=0).fit(holes, WINE.target)
    with pytest.raises(ArtefactError, match="RandomForestClassifier predicts differently"):
        convert(source := describe(forest), source.signature, holes)


def test_the_graph_of_another_model_is_detected() -> None:
    tree = DecisionTreeClassifier(max_depth=1, random_state=0).fit(DATA, WINE.target)
    other = DecisionTreeClassifier(max_depth=3, random_state=0).fit(DATA, WINE.target)
    signature, graph, *_ = convert(source := describe(other), source.signature, DATA)
    parity = compare(describe(tree), graph, signature, DATA)
    assert parity.rows_apart > 0.1
    assert parity.labels_equal < 1


def test_the_content_of_a_graph_does_not_depend_on_the_order_of_its_operator_sets() -> None:
    model = linear(np.ones((1, 1), dtype=np.float32))
    sets = [onnx.helper.make_opsetid(*each) for each in (("", 21), ("ai.onnx.ml", 3))]
    contents = set()
    for each in (sets, sets[::-1]):
        del model.opset_import[:]
        model.opset_import.extend(each)
        contents.add(content(model))
    assert len(contents) == 1


def test_a_tie_goes_to_the_first_class_as_in_scikit_learn() -> None:
    forest = RandomForestClassifier(20, random_state=0).fit(DATA, WINE.target == 0)
    low, high = DATA.min(axis=0), DATA.max(axis=0)
    probe = np.random.default_rng(0).uniform(low, high, (2000, len(low))).astype(np.float32)
    ties = forest.predict_proba(probe)[:, 0] == 0.5
    signature, graph, *_ = convert(source := describe(forest), source.signature, probe)
    labels = OnnxPredictor(graph, signature).predict(probe).labels
    assert ties.sum() > 20
    assert set(labels[ties]) == {0}


@pytest.mark.parametrize(
    ("labels", "classes"),
    [(["a", "b"], ("a", "b")), ([3, 7], (3, 7)), ([False, True], (0, 1)), ([0.0, 1.0], (0, 1))],
)
def test_classes_are_strings_or_integers(labels: list[Any], classes: tuple[Any, ...]) -> None:
    assert class_names(np.array(labels)) == classes
    with pytest.raises(ArtefactError, match=r"class 0\.5 is neither a string nor an integer"):
        class_names(np.array([0.5, 1.0]))
