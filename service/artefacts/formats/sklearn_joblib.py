"""scikit-learn models saved by joblib: classifiers, regressors and pipelines.

A joblib file is a pickle: loading one runs the code in it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from tidegate.service.artefacts.schema_file import ModelSchema
from tidegate.service.artefacts.sklearn_structure import (
    features_of,
    is_text,
    parts_of,
    spread_of,
    takes_named_columns,
    where_missing_is_none,
)
from tidegate.service.artefacts.source_model import (
    Class,
    DatatypeOfNumbers,
    FileFormat,
    Predictions,
    SourceModel,
    Texts,
    class_names,
)
from tidegate.service.artefacts.synthetic_rows import placeholder_texts, random_rows
from tidegate.service.model.artefact import ArtefactError
from tidegate.service.model.features import Feature, Matrix
from tidegate.service.model.signature import Signature

if TYPE_CHECKING:
    import pandas as pd

BY_A_CLASS: Final = (
    'a class that calls it serves what takes or answers something else: model.path = "module:Class"'
)


def open_file(file: Path, schema: ModelSchema) -> SourceModel:
    """Load a joblib file, and find out what its model is.

    Raises:
        ArtefactError: it cannot be loaded, or is no regressor or classifier with probabilities that has
            one answer per row.
    """
    return describe(load(file), schema)


def describe(model: Any, schema: ModelSchema = ModelSchema()) -> SourceModel:
    """What a loaded model is.

    Raises:
        ArtefactError: it is no regressor or classifier with probabilities that has one answer per row.
    """
    from tidegate.service.artefacts.formats import FORMATS

    own = {each.estimators.package: each.estimators for each in FORMATS if each.estimators}
    if found := own.get(_package(model)):
        return found.adopt(model, schema)
    foreign = own.keys() & {_package(part) for part in parts_of(model)}
    return _sklearn_model(model, schema, [own[package].register for package in sorted(foreign)])


def _sklearn_model(
    model: Any, schema: ModelSchema, register: Sequence[Callable[[], None]]
) -> SourceModel:
    from sklearn.base import is_regressor

    regressor = hasattr(model, "get_params") and is_regressor(model)
    if not regressor and not isinstance(getattr(model, "classes_", None), list):
        classes = classes_of(model)
    columns = takes_named_columns(model)
    features = features_of(model, schema)
    original = _Original(model, is_regressor=regressor)

    def to_onnx(features: Sequence[Feature], datatype: DatatypeOfNumbers) -> bytes:
        from tidegate.service.artefacts.onnx_export import convert

        if any(feature.kind == "text" for feature in features):
            raise ArtefactError("ONNX divides a text into other words")
        if any(type(part).__name__.startswith("GaussianProcess") for part in parts_of(model)):
            raise ArtefactError("ONNX rounds the sums of a Gaussian process, whose terms cancel")
        for each in register:
            each()
        return convert(model, features, datatype, columns=columns, foreign=bool(register))

    for part in parts_of(model):
        if getattr(part, "n_jobs", None) is not None:
            part.n_jobs = None  # slots provide the parallelism
    original.try_random_rows(features)
    layout = "columns" if columns else "matrix"
    return SourceModel(
        description=_name(model),
        signature=(
            Signature(task="regression", input=layout, features=features, target=schema.target)
            if regressor
            else Signature(input=layout, features=features, classes=classes)
        ),
        to_onnx=to_onnx,
        predict=original.predict,
        datatypes=("FP32", "FP64"),
        labels=None if regressor else original.labels,
        spread=spread_of(model, features),
        named=hasattr(model, "feature_names_in_"),
        # Whether it does is known by trying: an imputer accepts them for a model that does not.
        takes_missing=not columns,
    )


class _Original:
    """A model, called with what it was fitted on: a list of texts, a table or a matrix."""

    def __init__(self, model: Any, *, is_regressor: bool) -> None:
        self._model = model
        self._is_regressor = is_regressor
        self._is_text = is_text(model)
        self._is_named = hasattr(model, "feature_names_in_")
        self._none = frozenset(where_missing_is_none(model))

    def predict(self, features: Sequence[Feature], matrix: Matrix, texts: Texts) -> Predictions:
        """The probabilities, or the values."""
        rows = self._inputs(features, matrix, texts)
        if self._is_regressor:
            return np.asarray(self._model.predict(rows)).reshape(len(matrix))
        return np.asarray(self._model.predict_proba(rows))

    def labels(
        self, features: Sequence[Feature], matrix: Matrix, texts: Texts
    ) -> npt.NDArray[np.intp]:
        """The index of the predicted class."""
        names: Any = np.ravel(self._model.predict(self._inputs(features, matrix, texts)))
        found: npt.NDArray[np.intp] = np.searchsorted(np.asarray(self._model.classes_), names)
        return found

    def try_random_rows(self, features: Sequence[Feature]) -> None:
        """Predict two rows of random numbers and categories.

        Raises:
            ArtefactError: it cannot predict them, or has several answers per row.
        """
        inputs = self._inputs(features, random_rows(features)[:2], placeholder_texts(features, 2))
        try:
            self._model.predict(inputs)
        # Whatever a step raises for numbers, if it takes something else.
        except Exception as error:
            numbers = [feature.name for feature in features if not feature.is_string]
            raise ArtefactError(
                f"{_name(self._model)} cannot predict a row in which {', '.join(numbers[:20])} are numbers "
                f"({type(error).__name__}: {str(error)[:200]}): give those that are strings `categories` or "
                f'kind = "text" in a schema.toml beside the file; {BY_A_CLASS}'
            ) from error
        _refuse_several_outputs(self._model, inputs)

    def _inputs(self, features: Sequence[Feature], matrix: Matrix, texts: Texts) -> Any:
        if self._is_text:
            return list(texts[features[0].name])
        return as_table(features, matrix, texts, self._none) if self._is_named else matrix


def as_table(
    features: Sequence[Feature], matrix: Matrix, texts: Texts, none: Container[str]
) -> pd.DataFrame:
    """A matrix and texts as a table with named columns; in those of `none`, None is missing, else NaN."""
    import pandas as pd

    table: dict[str, Any] = {}
    for feature, column in zip(features, matrix.T, strict=True):
        known = ~np.isnan(column)
        if feature.kind == "text":
            table[feature.name] = np.array(texts[feature.name], dtype=object)
        elif feature.kind == "category":
            missing = None if feature.name in none else np.nan
            names = np.array([*feature.categories, missing], dtype=object)
            values = names[np.where(known, column, -1).astype(np.intp)]
            # Of texts, pandas makes a column in which None is NaN.
            table[feature.name] = pd.Series(values, dtype=object) if missing is None else values
        elif feature.kind == "boolean" and known.all():
            table[feature.name] = column.astype(np.bool_)
        else:
            is_whole = feature.kind == "integer" and (np.abs(column) < 2.0**63).all()
            table[feature.name] = column.astype(np.int64) if is_whole else column
    return pd.DataFrame(table)


def classes_of(classifier: Any) -> tuple[Class, ...]:
    """A classifier's classes as JSON values, in the order of its probabilities.

    Raises:
        ArtefactError: it is not a classifier with probabilities, has one class, or its classes are neither
            strings nor integers.
    """
    if not hasattr(classifier, "classes_") or not hasattr(classifier, "predict_proba"):
        raise ArtefactError(
            f"{type(classifier).__name__} is not a fitted classifier with predict_proba; one without "
            f"probabilities can be wrapped in CalibratedClassifierCV; {BY_A_CLASS}"
        )
    names = class_names(classifier.classes_)
    if len(names) < 2:
        raise ArtefactError(f"{type(classifier).__name__} was fitted on rows of one class")
    return names


def load(file: Path) -> Any:
    """Load a joblib file.

    Raises:
        ArtefactError: joblib cannot load it, it needs a package that is missing, or it was saved by
            another version of scikit-learn.
    """
    import joblib
    from sklearn.exceptions import InconsistentVersionWarning

    try:
        with warnings.catch_warnings():
            # Such a model may predict differently, which the comparison with it would not show.
            warnings.simplefilter("error", InconsistentVersionWarning)
            return joblib.load(file)
    except InconsistentVersionWarning as error:
        raise ArtefactError(
            f"its {error.estimator_name} was saved by scikit-learn {error.original_sklearn_version}, "
            f"here is {error.current_sklearn_version}: save it again with this version, or install that one"
        ) from error
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        raise ArtefactError(
            f"it needs the package {package}, which is not installed here: pip install {package}, or if "
            "it is a module of yours, put its folder on PYTHONPATH"
        ) from error
    except OSError:
        raise
    # A pickle can raise any exception, and AttributeError for a class of the script that saved it.
    except Exception as error:
        raise ArtefactError(
            f"joblib cannot load it: {type(error).__name__}: {error}: its classes and functions must be in "
            "modules that can be imported, and the file complete"
        ) from error


def _package(model: Any) -> str:
    return type(model).__module__.partition(".")[0]


def _refuse_several_outputs(model: Any, inputs: Any) -> None:
    count = len(model.classes_) if isinstance(getattr(model, "classes_", None), list) else 1
    if not hasattr(model, "classes_"):
        answers = np.asarray(model.predict(inputs))
        count = answers.shape[1] if answers.ndim > 1 else 1
    if count > 1:
        raise ArtefactError(
            f"{type(model).__name__} predicts {count} values per row: fit one model per value, and serve each"
        )


def _name(model: Any) -> str:
    steps = getattr(model, "steps", None)
    if not isinstance(steps, list):
        return type(model).__name__
    return f"{type(model).__name__} of " + ", ".join(type(step).__name__ for _, step in steps)


FORMAT = FileFormat(
    title="scikit-learn",
    suffixes=(".joblib", ".pkl", ".pickle"),
    accepts="a fitted classifier, regressor or pipeline, by joblib.dump to .joblib",
    open=open_file,
    original="model.joblib",  # retraining fits it again
)
