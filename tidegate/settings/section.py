"""The base class of the sections of the settings, and the types of their values."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
)
from pydantic_core import core_schema

Port = Annotated[int, Field(ge=1, le=65535)]
# A duration that a timer, a date and HAProxy (which counts milliseconds) can have.
Seconds = Annotated[float, Field(ge=0.001, le=366 * 86_400, allow_inf_nan=False)]
SecondsOrZero = Annotated[float, Field(ge=0, le=366 * 86_400)]
# The age of data, for which no timer waits: ten years.
Age = Annotated[float, Field(ge=0.001, le=3660 * 86_400, allow_inf_nan=False)]
AgeOrZero = Annotated[float, Field(ge=0, le=3660 * 86_400, allow_inf_nan=False)]
Ratio = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A section: a table of tidegate.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        made = handler(schema)
        properties = handler.resolve_ref_schema(made)["properties"]
        for name, text in descriptions(cls).items():
            properties[name]["description"] = text
        return made


@cache
def descriptions(section: type[BaseModel]) -> dict[str, str]:
    """The descriptions of the settings of a section: the strings below them in its code.

    Pydantic has an option for this, `use_attribute_docstrings`, which parses the code in each process that
    creates the class: an eighth of what the import of the settings takes (2026-11-30).
    """
    try:
        [code] = ast.parse(inspect.getsource(section)).body
    except OSError:  # installed without its code
        return {}
    assert isinstance(code, ast.ClassDef)  # noqa: S101 - for mypy
    return {
        field.target.id: inspect.cleandoc(below.value.value)
        for field, below in pairwise(code.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }


class OrderError(ValueError):
    """Settings of one section contradict each other: the relation that they need, and their values."""

    def __init__(self, relation: str, **values: object) -> None:
        super().__init__(f"expected {relation}")
        self.relation = relation
        self.values = values


@dataclass(frozen=True, slots=True)
class TextLike:
    """The type of a text that matches a pattern as a whole. The error message contains the description."""

    pattern: str
    description: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        compiled = re.compile(self.pattern)

        def check(text: str) -> str:
            if not compiled.fullmatch(text):
                raise ValueError(f"must be {self.description}")
            return text

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^({self.pattern})$"}


Label = Annotated[
    str,
    TextLike(
        r"[a-z0-9][a-z0-9-]{0,62}",
        "at most 63 lower-case letters, digits and hyphens, and not begin with a hyphen",
    ),
]
Url = Annotated[str, TextLike(r"https?://.+", "a URL such as http://127.0.0.1:9200")]
OptionalUrl = Annotated[
    str, TextLike(r"(https?://.+)?", "empty or a URL such as http://127.0.0.1:9600")
]
# It is written into HAProxy's configuration.
UrlPath = Annotated[str, TextLike(r"/[A-Za-z0-9._~/-]*", "a path such as /ready")]
Retention = Annotated[
    str,
    # Elasticsearch counts a retention in nanoseconds, and no date is earlier than the year 1.
    TextLike(r"[1-9][0-9]{0,4}[hd]", "1 to 99999 hours or days, such as 36h or 7d"),
]
