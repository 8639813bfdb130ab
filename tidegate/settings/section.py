"""The base class of the sections of the settings, and the types of their values."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

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

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class OrderError(ValueError):
    """Settings of one section contradict each other.

    Attributes:
        relation: the required relation, such as `min ≤ start ≤ max`.
        values: the values of the settings in it, by their names in the section.
    """

    def __init__(self, relation: str, **values: object) -> None:
        super().__init__(f"expected {relation}")
        self.relation = relation
        self.values = values


def text_like(pattern: str, description: str) -> AfterValidator:
    """Validate that the whole text matches a pattern; the error message contains the description."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(f"must be {description}")
        return text

    return AfterValidator(check)


Label = Annotated[
    str,
    text_like(
        r"[a-z0-9][a-z0-9-]{0,62}",
        "at most 63 lower-case letters, digits and hyphens, and not begin with a hyphen",
    ),
]
Url = Annotated[str, text_like(r"https?://.+", "a URL such as http://127.0.0.1:9200")]
OptionalUrl = Annotated[
    str, text_like(r"(https?://.+)?", "empty or a URL such as http://127.0.0.1:9600")
]
# It is written into HAProxy's configuration.
UrlPath = Annotated[str, text_like(r"/[A-Za-z0-9._~/-]*", "a path such as /ready")]
Retention = Annotated[
    str,
    # Elasticsearch counts a retention in nanoseconds, and no date is earlier than the year 1.
    text_like(r"[1-9][0-9]{0,4}[hd]", "1 to 99999 hours or days, such as 36h or 7d"),
]
