"""`tidegate setup`: installs what the stack on this machine needs and pip does not bring."""

from __future__ import annotations

from tidegate.stack import prometheus
from tidegate.terminal_console import Console


def setup() -> int:
    """Install it, and say where it is.

    Returns:
        The exit code: 0, or 1 if it could not be installed, with the reason on stderr.
    """
    console = Console(soft_wrap=True, highlight=False)
    console.print("Prometheus: at most 30 MB to download (minutes, if it must be built)")
    if prometheus.install():
        return 1
    for path in (prometheus.prometheus_binary(), prometheus.promtool_binary()):
        console.print(f"installed: {path}")
    return 0
