"""What is wrong with the settings, in words for the person who wrote them."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tidegate.settings.section import OrderError
from tidegate.settings.sources import (
    SettingsError,
    is_json,
    read_file,
    source,
    variable,
    variables,
)

# By the types of pydantic's errors; the numbers come from the error's context.
WORDS: Final = {
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "finite_number": "must be a finite number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be text in quotes",
    "path_type": "must be a path in quotes",
    "ip_any_network": "must be an address or a network such as 10.0.0.0/8",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "literal_error": "must be {expected}",
    "model_type": "is a table with settings of its own, not a value",
    "dict_type": "is a table with settings of its own, not a value",
    "missing": "is missing",
}
EXAMPLES: Final = {"a list": '["/live", "/ready"]', "a table": '{"latency_seconds": 0.3}'}


def explain(error: ValidationError, names: Collection[str], file: Mapping[str, Any]) -> list[str]:
    """A line for each bad setting.

    Args:
        error: of the settings as a whole.
        names: the dotted names of all settings.
        file: what the settings file says.
    """
    return [_line(item, names, file) for item in error.errors(include_url=False)]


def not_json(names: Mapping[str, tuple[Any, str]]) -> list[str]:
    """A line for each variable of a list or of a whole section that holds no JSON.

    Args:
        names: the default and the meaning of each setting, by its dotted name.
    """
    lists = {name: "a list" for name, (default, _) in names.items() if isinstance(default, tuple)}
    kinds = lists | dict.fromkeys(sections(names), "a table")
    return [
        f"{found}: must be {kind} in JSON, such as {EXAMPLES[kind]} (got {text!r})"
        for name, kind in kinds.items()
        for found, text in variables(name)
        if not is_json(text)
    ]


def sections(names: Collection[str]) -> set[str]:
    """The dotted names of all sections that hold these settings."""
    return {name.rsplit(".", count)[0] for name in names for count in range(1, name.count(".") + 1)}


def unknown(name: str, names: Collection[str]) -> str:
    """That there is no setting of this dotted name, and the most similar one that there is."""
    known = [*sorted(sections(names)), *names]
    return _no_such(difflib.get_close_matches(name, known, n=1))


def unknown_variable(name: str, names: Collection[str]) -> str:
    """The same of an environment variable."""
    return _no_such(difflib.get_close_matches(name, [variable(known) for known in names], n=1))


def bad_value(name: str, reason: str, value: object) -> SettingsError:
    """The error for a value that the part which reads it cannot use.

    Args:
        name: the setting's dotted name.
        reason: what is wrong, in a sentence.
        value: the value in force.
    """
    where = source(name.split("."), read_file())
    return SettingsError(f"{f'{where}: ' if where else ''}{name}: {reason} (got {value!r})")


def _no_such(similar: list[str]) -> str:
    return f"there is no such setting{f'; did you mean {similar[0]}?' if similar else ''}"


def _line(item: ErrorDetails, names: Collection[str], file: Mapping[str, Any]) -> str:
    parts = [str(part) for part in item["loc"]]
    # An entry of a list comes from where the list does.
    name, where = ".".join(parts), source([p for p in item["loc"] if isinstance(p, str)], file)
    prefix = f"{where}: {name}: " if where else f"{name}: "
    if item["type"] == "extra_forbidden":
        return prefix + unknown(name, names)
    cause = item.get("ctx", {}).get("error")
    if isinstance(cause, OrderError):
        got = ", ".join(
            f"{key} = {value} ({source([*parts, key], file) or 'default'})"
            for key, value in cause.values.items()
        )
        return f"{name}: needs {cause.relation}, got {got}"
    given = "" if isinstance(item["input"], dict | BaseModel) else f" (got {item['input']!r})"
    return f"{prefix}{_words(item, cause)}{given}"


def _words(item: ErrorDetails, cause: object) -> str:
    if cause is not None:
        return str(cause)
    known = WORDS.get(item["type"])
    return known.format(**item.get("ctx", {})) if known else item["msg"]
