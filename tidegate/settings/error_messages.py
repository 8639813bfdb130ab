"""Error messages about invalid settings, for the person who wrote them."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tidegate.settings.section import OrderError
from tidegate.settings.sources import (
    ENV_DELIMITER,
    ENV_PREFIX,
    SettingsError,
    is_json,
    read_file,
    sections,
    source,
    variable,
    variables,
)

# By the type of pydantic's error. The placeholders are filled from the error's context.
MESSAGES: Final = {
    "greater_than": "must be greater than {gt:.15g}",
    "greater_than_equal": "must be at least {ge:.15g}",
    "less_than": "must be less than {lt:.15g}",
    "less_than_equal": "must be at most {le:.15g}",
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
    "model_type": "must be a table of settings, not a value",
    "dict_type": "must be a table of settings, not a value",
    "missing": "is missing",
}
# Each looks for similar names, which takes a tenth of a millisecond.
MAX_LINES: Final = 20
EXAMPLES: Final = {"a list": '["/live", "/ready"]', "a table": '{"latency_seconds": 0.3}'}


def explain(error: ValidationError, names: Collection[str], file: Mapping[str, Any]) -> list[str]:
    """A line for each invalid setting, but the 21st and further; `names` are the names of all settings."""
    items = error.errors(include_url=False)
    shown = [_line(item, names, file) for item in items[:MAX_LINES]]
    left = len(items) - len(shown)
    return [*shown, f"and {left:,} more"] if left else shown


def not_json(names: Mapping[str, Any]) -> list[str]:
    """A line for each environment variable of a list or a section whose value is not JSON."""
    lists = {name: "a list" for name, default in names.items() if isinstance(default, tuple)}
    kinds = lists | dict.fromkeys(sections(names), "a table")
    return [
        f"{found}: must be {kind} in JSON, such as {EXAMPLES[kind]} (got {text!r})"
        for name, kind in kinds.items()
        for found, text in variables(name)
        if not is_json(text)
    ]


def unknown(name: str, names: Collection[str]) -> str:
    """Return the message about an unknown setting or section, with the most similar name."""
    return _unknown(_similar(name, [*sorted(sections(names)), *names]))


def unknown_variable(name: str, names: Collection[str]) -> str:
    """Return the message about an unknown environment variable, with the most similar name."""
    # What all variables begin with makes none similar.
    meant = name.removeprefix(ENV_PREFIX).replace(ENV_DELIMITER, ".").lower()
    return _unknown(list(map(variable, _similar(meant, names))))


def bad_value(name: str, reason: str, value: object) -> SettingsError:
    """The error for the effective value of a setting that a component cannot use."""
    where = source(name.split("."), read_file())
    return SettingsError(f"{f'{where}: ' if where else ''}{name}: {reason} (got {value!r})")


def _similar(name: str, known: Collection[str]) -> list[str]:
    """The name that is meant: the only one that ends alike, in another section, or the most similar one."""
    last = name.rpartition(".")[2]
    alike = [one for one in known if one.rpartition(".")[2] == last]
    return alike if len(alike) == 1 else difflib.get_close_matches(name, known, n=1)


def _unknown(similar: list[str]) -> str:
    return f"unknown setting{f'; did you mean {similar[0]}?' if similar else ''}"


def _line(item: ErrorDetails, names: Collection[str], file: Mapping[str, Any]) -> str:
    parts = [str(part) for part in item["loc"]]
    # An element of a list has the source of the list.
    name, where = ".".join(parts), source([p for p in item["loc"] if isinstance(p, str)], file)
    if not item[
        "loc"
    ]:  # settings of several sections contradict each other; the message names them
        return str(item.get("ctx", {}).get("error", item["msg"]))
    prefix = f"{where}: {name}: " if where else f"{name}: "
    if item["type"] == "extra_forbidden":
        return prefix + unknown(name, names)
    cause = item.get("ctx", {}).get("error")
    if isinstance(cause, OrderError):
        got = ", ".join(
            f"{key} = {value} ({source([*parts, key], file) or 'default'})"
            for key, value in cause.values.items()
        )
        return f"{name}: expected {cause.relation}, got {got}"
    given = "" if isinstance(item["input"], dict | BaseModel) else f" (got {item['input']!r})"
    return f"{prefix}{_message(item, cause)}{given}"


def _message(item: ErrorDetails, cause: object) -> str:
    if cause is not None:
        return str(cause)
    known = MESSAGES.get(item["type"])
    return known.format(**item.get("ctx", {})) if known else item["msg"]
