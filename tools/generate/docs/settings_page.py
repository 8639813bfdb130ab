"""docs/reference/settings.md."""

from __future__ import annotations

from typing import Final

from tidegate.rules.yaml_text import NOTE
from tidegate.settings import setting_descriptions, setting_names
from tidegate.settings.commands import as_text

INTRODUCTION: Final = (
    "Settings are in `tidegate.toml` (or the file that `TIDEGATE_CONFIG` names); an environment variable "
    "overrides it: `TIDEGATE_SLO__LATENCY_SECONDS` is `slo.latency_seconds`. A value in parentheses is the "
    "default. `tidegate settings` shows the values in force and their sources. An unknown or invalid "
    "setting stops the start with its name and the reason."
)


def settings_page() -> str:
    """docs/reference/settings.md."""
    lines = [
        f"<!-- {NOTE} -->",
        "# Settings",
        "",
        INTRODUCTION,
    ]
    section, meanings = "", setting_descriptions()
    for name, default in setting_names().items():
        table, _, _ = name.rpartition(".")
        if table != section:
            section = table
            lines += ["", f"## [{table}]", ""]
        lines.append(f"- `{name}` (`{as_text(default)}`): {' '.join(meanings[name].split())}")
    return "\n".join(lines) + "\n"
