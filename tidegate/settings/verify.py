"""The section of `tidegate verify`: where the parts of a stack are that does not run in the data folder."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from tidegate.settings.section import Section

URL = r"^(https?://.+)?$"


class Verify(Section):
    """What `tidegate verify` asks besides the stack of the data folder. docker-compose.yml sets all of it."""

    gateway_url: str = Field(default="", pattern=URL)
    """The gateway; empty means that of the stack that runs in `stack.data_dir`."""
    prometheus_url: str = Field(default="", pattern=URL)
    """Prometheus; empty means that of the stack that runs in `stack.data_dir`."""
    kibana_url: str = Field(default="", pattern=URL)
    """Kibana; empty means that there is none."""
    kibana_username: str = Field(default="tidegate_viewer", min_length=1)
    """The user that reads Kibana's objects."""
    kibana_password_file: Path | None = None
    """A file that holds that user's password; unset means no authentication."""
    grafana_url: str = Field(default="", pattern=URL)
    """Grafana; empty means that there is none."""
    grafana_username: str = Field(default="admin", min_length=1)
    """The user that runs the queries of Grafana's panels."""
    grafana_password_file: Path | None = None
    """A file that holds that user's password; unset means no authentication."""
