"""Error messages about invalid settings, for the person who wrote them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from functools import cache
from statistics import fmean
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
# Each looks for similar names, which takes 10 ms.
MAX_LINES: Final = 20
MAX_LENGTH: Final = 100
SIMILAR: Final = 0.7
# What other programs call it.
MEANT: Final = {
    word: ours
    for ours, others in {
        "seconds": "timeout interval duration",
        "max": "maximum limit",
        "min": "minimum",
        "replicas": "workers instances",
        "slots": "concurrency threads",
        "ratio": "rate sampling",
        "path": "file",
        "bytes": "size",
        "latency": "objective",
        "host": "bind",
    }.items()
    for word in others.split()
}
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
    """The name that is meant: the most similar one by its words; those of the last part count most."""
    meant = name[:MAX_LENGTH]
    score, found = max(
        (_alike(meant, one) + 2 * _alike(_last(meant), _last(one)), one) for one in known
    )
    return [found] if score >= 3 * SIMILAR else []


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _alike(name: str, other: str) -> float:
    """The mean similarity of each word of both to the most similar one of the other name, from 0 to 1."""
    first, second = (
        [MEANT.get(word, word) for word in re.split("[._]+", one)] for one in (name, other)
    )
    ratios = [max(_ratio(word, one) for one in second) for word in first]
    return fmean([*ratios, *(max(_ratio(one, word) for one in first) for word in second)])


@cache
def _ratio(word: str, other: str) -> float:
    return difflib.SequenceMatcher(None, word, other).ratio()


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
