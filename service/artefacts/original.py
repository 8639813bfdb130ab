"""The original of a model file as a predictor, where no ONNX model predicts the same.

A scikit-learn model in a joblib file is a pickle: loading one runs the code in it.
"""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

import numpy as np

from tidegate.monitoring.counting.reference import Reference
from tidegate.service.artefacts.formats import format_of
from tidegate.service.artefacts.schema_file import FeatureSchema, ModelSchema
from tidegate.service.artefacts.source_model import Predictions, SourceModel, Texts
from tidegate.service.artefacts.synthetic_rows import placeholder_texts, random_rows
from tidegate.service.model.artefact import Artefact, ArtefactError, Manifest
from tidegate.service.model.features import Feature, Matrix
from tidegate.service.model.inputs.rows import RowBatch
from tidegate.service.model.predictions import Classification, Prediction
from tidegate.service.model.predictor import Predictor
from tidegate.service.request_errors import Detail, RequestError

STEM: Final = "model"
"""Of the name of the model file in the artefact."""


class OriginalPredictor(Predictor):
    """The model file in an artefact, in its own library; called by a thread per slot.

    Raises:
        ArtefactError: it cannot be opened here.
    """

    def __init__(self, artefact: Artefact, reference: Reference | None = None) -> None:
        manifest = artefact.manifest
        super().__init__(manifest, reference)
        name = next(name for name in manifest.files if name.partition(".")[0] == STEM)
        file = artefact.path / name
        try:
            self._source = format_of(file).open(file, _schema(manifest))
        except (ArtefactError, ImportError) as error:
            raise ArtefactError(f"{file} cannot be served: {error}") from error
        features = self.inputs.features
        # The first prediction makes caches and threads, and takes up to 200 times as long as others.
        with suppress(Exception):  # it may refuse these rows
            predict(
                self._source, features, random_rows(features)[:1], placeholder_texts(features, 1)
            )

    def predict(self, batch: RowBatch) -> Prediction:
        """Predict each row.

        Raises:
            RequestError: 500, the original failed; the text has no value of the request.
        """
        features = self.inputs.features
        texts: Texts = {
            feature.name: [row.get(feature.name) for row in batch.rows]
            for feature in features
            if feature.kind == "text"
        }
        try:
            return predict(self._source, features, batch.matrix, texts)
        # The exceptions of the libraries have no common base class.
        except Exception as error:  # noqa: BLE001
            kind = type(error).__name__
            message = f"The original of the model raised {kind} for these rows"
            detail = Detail(("model",), message, kind)
            raise RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, detail) from None


def predict(
    source: SourceModel, features: tuple[Feature, ...], matrix: Matrix, texts: Texts
) -> Prediction:
    """What an original predicts, as a replica answers it."""
    assert source.predict is not None  # noqa: S101 (an ONNX file has no other original)
    found: Predictions = source.predict(features, matrix, texts)
    if source.signature.task != "classification":
        return found
    labels: Any = source.labels(features, matrix, texts) if source.labels else found.argmax(axis=1)
    return Classification(labels, found.astype(np.float32))


def _schema(manifest: Manifest) -> ModelSchema:
    """What the file itself does not say."""
    features = [
        FeatureSchema(name=f.name, kind=f.kind, categories=f.categories)
        if f.kind == "category"
        else FeatureSchema(name=f.name, kind=f.kind)
        for f in manifest.features
    ]
    return ModelSchema(features=features, target=manifest.target)
