"""Inputs as fields of the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from tidegate.service.model.features import Feature


def instance_model(features: Iterable[Feature]) -> type[BaseModel]:
    """A model of an instance: a field for each feature, with its type, range, meaning and example."""
    return object_model("Instance", {feature.name: _field(feature) for feature in features})


def object_model(title: str, fields: dict[str, Any]) -> type[BaseModel]:
    """A model of an object with these fields, each by its name."""
    # A name may be no Python identifier, or a method of BaseModel: it is the alias.
    by_alias: dict[str, Any] = {
        f"field_{i}": Annotated[annotation, Field(alias=name, title=name)]
        for i, (name, annotation) in enumerate(fields.items())
    }
    return create_model(title, __config__=ConfigDict(extra="forbid"), **by_alias)


def _field(feature: Feature) -> Any:
    bounds = Field(ge=feature.minimum, le=feature.maximum)
    types: dict[str, Any] = {
        "number": Annotated[float, bounds],
        "integer": Annotated[int, bounds],
        "boolean": bool | Literal[0, 1],
        "category": Literal[feature.categories],
        "text": str,
    }
    kind = types[feature.kind]
    field = Field(
        None if feature.missing else ...,
        description=_summary(feature),
        examples=[feature.example],
    )
    return Annotated[kind | None if feature.missing else kind, field]


def _summary(feature: Feature) -> str:
    """The meaning of a feature, its unit, and its range in training."""
    summary = feature.description or feature.name
    if feature.unit:
        summary += f" [{feature.unit}]"
    if feature.observed:
        summary += f"; {feature.observed[0]:g} to {feature.observed[1]:g} in training"
    return summary
