"""The style of every plot, whichever report shows it: `with rc_context(STYLE)` around drawing and saving."""

from __future__ import annotations

from typing import Any, Final

STYLE: Final[Any] = {  # matplotlib types its settings by the literals of their names
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "svg.fonttype": "path",
    "svg.hashsalt": "loadgen",
    # Names of features, labels, policies and traces are text: "$x_{$" is no formula, and two "$" no italics.
    "text.parse_math": False,
}
