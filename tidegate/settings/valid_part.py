"""The valid part of invalid settings: enough to find a running stack, and to stop it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pydantic import BaseModel, ValidationError

from tidegate.settings import Settings
from tidegate.settings.sources import SettingsError, read_file, variables


def load_valid() -> Settings:
    """The settings that are valid, and the defaults of the others."""
    file: Mapping[str, Any] = {}
    with suppress(SettingsError):
        file = read_file()
    sections: dict[str, Any] = {}
    for name, field in Settings.model_fields.items():
        section = field.annotation
        assert isinstance(section, type)  # noqa: S101 - for mypy; every field is a section
        assert issubclass(section, BaseModel)  # noqa: S101
        given = file.get(name)
        table = dict(given) if isinstance(given, Mapping) else {}
        for key in section.model_fields:
            for _, text in variables(f"{name}.{key}"):
                table[key] = text
        sections[name] = _valid(section, table)
    return Settings.model_construct(**sections)


def _valid(section: type[BaseModel], table: dict[str, Any]) -> BaseModel:
    try:
        return section.model_validate(table)
    except ValidationError as error:
        invalid = {each["loc"][0] for each in error.errors() if each["loc"]}
    rest = {key: value for key, value in table.items() if key not in invalid}
    return _valid(section, rest) if len(rest) < len(table) else section()
