"""The section of `tidegate verify`: the components of a stack that does not run in the data folder."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from tidegate.settings.section import Section

URL = r"^(https?://.+)?$"


class Verify(Section):
    """The components that `tidegate verify` checks. docker-compose.yml sets all of them."""

    gateway_url: str = Field(default="", pattern=URL)
    """URL of the gateway; empty means the gateway of the stack that runs in `stack.data_dir`."""
    prometheus_url: str = Field(default="", pattern=URL)
    """URL of Prometheus; empty means the Prometheus of the stack that runs in `stack.data_dir`."""
    path: str = Field(default="", pattern=r"^(/[!-~]*)?$")
    """Path of the request that is followed to its events; empty means `/predict` with the model's example, or
    for `service.app` or `replicas.command` a GET route without required parameters, else `/`."""
    body: str = ""
    """Body of this request, which is then a POST of `application/json`; empty means a GET."""
    kibana_url: str = Field(default="", pattern=URL)
    """URL of Kibana; empty means that Kibana is not checked."""
    kibana_username: str = Field(default="tidegate_viewer", min_length=1)
    """User that reads Kibana's objects, and whose login searches Elasticsearch."""
    kibana_password_file: Path | None = None
    """File that contains the password of this user; unset means no authentication."""
    grafana_url: str = Field(default="", pattern=URL)
    """URL of Grafana; empty means that Grafana is not checked."""
    grafana_username: str = Field(default="admin", min_length=1)
    """User that queries Grafana's data sources."""
    grafana_password_file: Path | None = None
    """File that contains the password of this user; unset means no authentication."""
    console_url: str = Field(default="", pattern=URL)
    """URL of the console; empty means the supervisor's report on it."""
