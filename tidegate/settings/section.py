"""What every section of the settings is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Ratio = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A table of tidegate.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
