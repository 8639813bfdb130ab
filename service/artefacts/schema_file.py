"""`schema.toml` beside a model file: what the file itself does not say about its features and answers.

For `wine.onnx` it is `wine.toml`, else `schema.toml` in the same folder; only one of them is read.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tidegate.service.artefacts.import_cache import schema_file
from tidegate.service.model.artefact import ArtefactError
from tidegate.service.model.features import Feature, FeatureDescription
from tidegate.service.model.signature import Target, TaskName

TARGET_COLUMNS: Final = ("target", "label")
"""The columns that hold the truth in a file of rows, unless `target.name` names another one."""


class FeatureSchema(FeatureDescription, strict=True):
    """`[[features]]`: one feature; an absent key keeps what the model file says.

    Its name is the one in the model; a model without names gets it.
    """

    @model_validator(mode="after")
    def _values_fit_the_kind(self) -> FeatureSchema:
        numbers = self.minimum is not None or self.maximum is not None
        if "categories" in self.model_fields_set:
            if not self.categories or len(set(self.categories)) < len(self.categories):
                raise ValueError("`categories` should be one or more different strings")
            if "kind" in self.model_fields_set and self.kind != "category":
                raise ValueError(f"`categories` needs the kind category, not {self.kind}")
            if numbers:
                raise ValueError("a category has no `minimum` and no `maximum`")
        if None not in {self.minimum, self.maximum} and self.minimum > self.maximum:  # type: ignore[operator]
            raise ValueError(f"`minimum` {self.minimum:g} is above `maximum` {self.maximum:g}")
        return self

    def changes(self) -> dict[str, Any]:
        """The fields of a `Feature` that it sets."""
        found = self.model_dump(exclude_unset=True, exclude={"name"})
        return found | {"kind": "category"} if self.categories else found


class ModelSchema(BaseModel):
    """The content of the file; without one, every field has its default."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    task: TaskName | None = None
    """What the model predicts: a class, a number, or any named outputs. Default: what the file says."""
    classes: list[str | int] | None = Field(default=None, min_length=2)
    """The classes, in the order of the probabilities."""
    activation: Literal["softmax", "sigmoid"] | None = None
    """What makes probabilities of the output of an ONNX file: softmax over the classes, or sigmoid of one
    value, the second of two classes."""
    output: str | None = None
    """The output of an ONNX file that has the probabilities or the predicted values."""
    target: Target | None = None
    """What a regressor predicts, and the column of its true values in a file of rows."""
    features: list[FeatureSchema] = []
    """The features."""

    @model_validator(mode="after")
    def _fields_fit_each_other(self) -> ModelSchema:
        names = [feature.name for feature in self.features]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two `features` have the name {min(repeated)}")
        if self.task not in {None, "classification"} and (self.classes or self.activation):
            raise ValueError(
                f"`classes` and `activation` are of the task classification, not {self.task}"
            )
        if self.activation and not self.classes:
            raise ValueError("`activation` needs `classes`")
        if self.classes and len(set(map(str, self.classes))) < len(self.classes):
            raise ValueError("two `classes` have the same name")
        return self

    def described(
        self, features: Sequence[Feature], *, named: bool, source: str
    ) -> tuple[Feature, ...]:
        """The features of a model, with what the file says about them; those of an unnamed one get names.

        Raises:
            ArtefactError: the file, named `source`, has a feature that the model does not have.
        """
        by_name = {feature.name: feature for feature in self.features}
        known = [feature.name for feature in features]
        if unknown := [name for name in by_name if name not in known]:
            if named:
                raise ArtefactError(
                    f"{source}: `features` has {unknown[0]}, which the model does not have; "
                    f"it has {', '.join(known[:20])}"
                )
            if len(by_name) != len(known):
                raise ArtefactError(
                    f"{source}: `features` names {len(by_name)} features; the model has {len(known)} "
                    "without names: list all of them, in the model's order"
                )
            known = list(by_name)
        return tuple(
            feature.model_copy(update={"name": name, **by_name[name].changes()})
            if name in by_name
            else feature
            for name, feature in zip(known, features, strict=True)
        )


def read_schema(file: Path) -> ModelSchema:
    """Read the schema of a model file; empty without one.

    Raises:
        ArtefactError: it is no valid TOML, or a key is unknown or has a wrong value.
    """
    path = schema_file(file)
    if path is None:
        return ModelSchema()
    try:
        return ModelSchema.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ArtefactError(f"{path} is not valid TOML: {error}") from error
    except ValidationError as error:
        raise ArtefactError(f"{path}: {first_fault(error)}") from error


def first_fault(error: ValidationError) -> str:
    """The first fault: its key, and what is wrong with it."""
    fault = error.errors()[0]
    place = [part for part in fault["loc"] if part not in {"str", "int"}]
    key = ".".join(str(part) for part in place)
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        fields = FeatureSchema if place[:1] == ["features"] else ModelSchema
        fields = Target if place[:1] == ["target"] else fields  # type: ignore[assignment]
        return f"unknown key `{key}`; expected {', '.join(fields.model_fields)}"
    return f"`{key}`: {message}" if key else message
