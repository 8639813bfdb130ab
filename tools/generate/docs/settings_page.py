"""docs/reference/settings.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tidegate.rules.yaml_text import NOTE
from tidegate.settings.commands import as_text

INTRODUCTION: Final = (
    "Settings are in `tidegate.toml` (or the file that `TIDEGATE_CONFIG` names); an environment variable "
    "overrides it: `TIDEGATE_SLO__LATENCY_SECONDS` is `slo.latency_seconds`. A value in parentheses is the "
    "default. `tidegate settings` shows the values in force and their sources. An unknown or invalid "
    "setting stops the start with its name and the reason."
)


def settings_page(names: Mapping[str, tuple[Any, str]]) -> str:
    """docs/reference/settings.md.

    Args:
        names: the default and the meaning of each setting, by its dotted name.
    """
    lines = [
        f"<!-- {NOTE} -->",
        "# Settings",
        "",
        INTRODUCTION,
    ]
    section = ""
    for name, (default, meaning) in names.items():
        table, _, _ = name.rpartition(".")
        if table != section:
            section = table
            lines += ["", f"## [{table}]", ""]
        lines.append(f"- `{name}` (`{as_text(default)}`): {' '.join(meaning.split())}")
    return "\n".join(lines) + "\n"
