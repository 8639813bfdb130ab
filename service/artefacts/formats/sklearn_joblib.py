"""scikit-learn models saved by joblib: classifiers, regressors and pipelines.

A joblib file is a pickle: loading one runs the code in it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tidegate.service.artefacts.schema_file import ModelSchema
from tidegate.service.artefacts.source_model import FileFormat, Predictions, SourceModel
from tidegate.service.model.artefact import ArtefactError
from tidegate.service.model.features import Feature, Matrix
from tidegate.service.model.signature import Signature


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
    foreign = own.keys() & {_package(part) for part in _parts_of(model)}
    for package in foreign:
        own[package].register()
    return _sklearn_model(model, schema, foreign=bool(foreign))


def _sklearn_model(model: Any, schema: ModelSchema, *, foreign: bool) -> SourceModel:
    from sklearn.base import is_regressor

    from tidegate.service.artefacts.onnx_export import as_table, classes_of, convert
    from tidegate.service.artefacts.synthetic_rows import random_rows

    regressor = hasattr(model, "get_params") and is_regressor(model)
    if not regressor and not isinstance(getattr(model, "classes_", None), list):
        classes = classes_of(model)
    columns = _takes_named_columns(model)
    features = _features_of(model)
    is_named = hasattr(model, "feature_names_in_")

    def inputs(features: Sequence[Feature], matrix: Matrix) -> Any:
        return as_table(features, matrix) if is_named else matrix

    def predict(features: Sequence[Feature], matrix: Matrix) -> Predictions:
        if regressor:
            return np.asarray(model.predict(inputs(features, matrix))).reshape(len(matrix))
        return np.asarray(model.predict_proba(inputs(features, matrix)))

    def labels(features: Sequence[Feature], matrix: Matrix) -> npt.NDArray[np.intp]:
        names: npt.NDArray[Any] = model.predict(inputs(features, matrix))
        return np.searchsorted(np.asarray(model.classes_), names).astype(np.intp)

    _refuse_several_outputs(model, inputs(features, random_rows(features)[:2]))
    layout = "columns" if columns else "matrix"
    return SourceModel(
        description=_name(model),
        signature=(
            Signature(task="regression", input=layout, features=features, target=schema.target)
            if regressor
            else Signature(input=layout, features=features, classes=classes)
        ),
        to_onnx=lambda features: convert(model, features, columns=columns, foreign=foreign),
        predict=predict,
        labels=None if regressor else labels,
        spread=_spread_of(model, len(features)),
        named=is_named,
        # Whether it does is known by trying: an imputer accepts them for a model that does not.
        takes_missing=not columns,
    )


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


def _feature_names(model: Any) -> tuple[str, ...]:
    """The feature names that it was fitted with; f0, f1, … without names.

    Raises:
        ArtefactError: it does not state its number of features.
    """
    named = getattr(model, "feature_names_in_", None)
    if named is not None:
        return tuple(str(name) for name in named)
    count = getattr(model, "n_features_in_", None)
    if count is None:
        raise ArtefactError(f"{type(model).__name__} does not state its number of features")
    return tuple(f"f{i}" for i in range(count))


def _parts_of(model: Any) -> Iterator[Any]:
    """A model and all fitted estimators in it: pipeline steps, transformers, ensemble members."""
    yield model
    candidates: list[Any] = []
    for attribute in ("steps", "transformers_", "estimators_"):
        candidates += list(np.ravel(np.array(getattr(model, attribute, []), dtype=object)))
    candidates += [
        getattr(model, name, None)
        for name in ("estimator", "estimator_", "best_estimator_", "regressor_")
    ]
    for part in candidates:
        if hasattr(part, "get_params"):
            yield from _parts_of(part)


def _takes_named_columns(model: Any) -> bool:
    """Whether it selects columns by name, so that it needs a table instead of a matrix."""
    return any(
        isinstance(column, str)
        for part in _parts_of(model)
        for _, _, columns in getattr(part, "transformers_", [])
        if not isinstance(columns, slice)
        for column in np.ravel(columns)
    )


def _learned_categories(model: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The categories that its encoders learned, by column name."""
    for part in _parts_of(model):
        for _, transformer, columns in getattr(part, "transformers_", []):
            encoders = [step for step in _parts_of(transformer) if hasattr(step, "categories_")]
            if not encoders:
                continue
            names = [columns] if isinstance(columns, str) else list(columns)
            for name, values in zip(names, encoders[0].categories_, strict=True):
                if any(isinstance(value, str) for value in values):
                    yield str(name), tuple(str(v) for v in values if isinstance(v, str))


def _features_of(model: Any) -> tuple[Feature, ...]:
    """Its features, with the categories that its encoders learned.

    Raises:
        ArtefactError: it does not state its number of features.
    """
    categories = dict(_learned_categories(model))
    return tuple(
        Feature(name=name, kind="category", categories=categories[name])
        if name in categories
        else Feature(name=name)
        for name in _feature_names(model)
    )


def _spread_of(model: Any, width: int) -> tuple[Any, Any] | None:
    """The mean and the standard deviation of each feature, if a part scales all of them; else None."""
    for part in _parts_of(model):
        if getattr(part, "mean_", np.empty(0)).shape == (width,) and hasattr(part, "scale_"):
            return part.mean_, part.scale_
    return None


FORMAT = FileFormat(
    title="scikit-learn",
    suffixes=(".joblib", ".pkl", ".pickle"),
    accepts="a fitted classifier, regressor or pipeline, by joblib.dump to .joblib",
    open=open_file,
    original="model.joblib",  # retraining fits it again
)
