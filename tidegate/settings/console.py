"""The section of the web console."""

from __future__ import annotations

from pathlib import Path

from tidegate.settings.section import Port, Section


class Console(Section):
    """The web console: the pages that show the stack. It listens on `stack.host`."""

    enabled: bool = True
    """Whether `tidegate up` starts the console."""
    port: Port = 8080
    """Port of the console."""
    token_file: Path | None = None
    """File with the token that a browser asks for as a password, with any user name. Needed if `stack.host`
    is not a loopback address; there is no login without it."""
    control: bool = False
    """Whether the pages may pause the autoscaler, set its bounds and start a load test. Each is recorded."""
    runs_dir: Path = Path("runs")
    """Folder of the load generator's runs (its `--out`), which the page *Load* shows."""
