"""The text and the URL of each runbook in the dashboard "Runbooks"."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from tidegate.rules.rule_files import alerts
from tidegate.settings import Settings
from tools.generate.checkout import ROOT
from tools.generate.grafana.dashboard import panel_id

NAME: Final = "runbooks"
SECTION: Final = "Runbooks"
_LINK: Final = re.compile(r"\]\((\w+)\.md\)")
_PAGE: Final = re.compile(r"\[([^]]+)\]\(\.\./([\w/-]+\.md)[^)]*\)")


@cache
def runbook_names() -> tuple[str, ...]:
    """The names of all alerts, in the order of their runbooks; independent of the settings."""
    return tuple(sorted({alert.name for alert in alerts(Settings())}))


def runbook_url(alert: str) -> str:
    """The URL path of an alert's runbook in Grafana.

    Raises:
        ValueError: no alert has this name.
    """
    if alert not in runbook_names():
        raise ValueError(f"no alert is named {alert}")
    return f"/d/tidegate-{NAME}?viewPanel=panel-{panel_id(SECTION, alert)}"


def runbook_text(alert: str) -> str:
    """An alert's runbook without its heading.

    A link to another runbook becomes a link to its panel. A link to any other page, which Grafana does not
    have, becomes the page's path in the repository.
    """
    page = ROOT / "docs" / "runbooks" / f"{alert}.md"
    _, _, body = page.read_text(encoding="utf-8").partition("\n\n")
    names = runbook_names()
    body = _PAGE.sub(r"\1 (docs/\2)", body)
    return _LINK.sub(
        lambda found: f"]({runbook_url(found[1])})" if found[1] in names else found[0], body
    )
