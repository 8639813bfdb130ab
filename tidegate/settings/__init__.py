"""All settings of Tidegate.

The value of a setting comes from an environment variable (``TIDEGATE_SLO__LATENCY_SECONDS``), else from the
settings file (the one that ``TIDEGATE_CONFIG`` names, or ``tidegate.toml`` in the working directory), else it
is the default. An unknown or invalid setting raises a `SettingsError` that names it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from tidegate.settings.console import Console
from tidegate.settings.drift import Drift
from tidegate.settings.error_messages import bad_value, explain, not_json, unknown_variable
from tidegate.settings.event_pipeline import (
    Collector,
    Elasticsearch,
    Exporter,
    Kibana,
    Logstash,
    Provision,
    Store,
)
from tidegate.settings.gateway import Gateway
from tidegate.settings.model_path import is_import_string
from tidegate.settings.ray import Ray
from tidegate.settings.scaling import (
    Autoscaler,
    Prometheus,
    Replicas,
    Resizer,
    Stack,
)
from tidegate.settings.section import descriptions
from tidegate.settings.service import Model, Service
from tidegate.settings.slo import Slo
from tidegate.settings.slots import Device, Slots
from tidegate.settings.sources import (
    ENV_DELIMITER,
    ENV_PREFIX,
    ENV_RESERVED,
    SettingsError,
    config_file,
    merged,
    read_file,
    read_variables,
    variable,
)
from tidegate.settings.telemetry import Telemetry
from tidegate.settings.verify import Verify

__all__ = [
    "Autoscaler",
    "Collector",
    "Console",
    "Device",
    "Drift",
    "Elasticsearch",
    "Logstash",
    "Model",
    "Ray",
    "Replicas",
    "Resizer",
    "Settings",
    "SettingsError",
    "Slo",
    "Store",
    "bad_value",
    "config_file",
    "is_import_string",
    "load",
    "setting_descriptions",
    "setting_names",
    "unknown_variables",
]


class Settings(BaseModel):
    """All settings, immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    service: Service = Service()
    model: Model = Model()
    slo: Slo = Slo()
    slots: Slots = Slots()
    device: Device = Device()
    telemetry: Telemetry = Telemetry()
    gateway: Gateway = Gateway()
    replicas: Replicas = Replicas()
    prometheus: Prometheus = Prometheus()
    store: Store = Store()
    collector: Collector = Collector()
    autoscaler: Autoscaler = Autoscaler()
    resizer: Resizer = Resizer()
    ray: Ray = Ray()
    exporter: Exporter = Exporter()
    provision: Provision = Provision()
    kibana: Kibana = Kibana()
    verify: Verify = Verify()
    drift: Drift = Drift()
    console: Console = Console()
    stack: Stack = Stack()

    @model_validator(mode="after")
    def _one_program(self) -> Settings:
        service, command = self.service, self.replicas.command
        if command and service.app:
            raise ValueError(
                f"service.app is {service.app!r} and replicas.command is {command[0]!r}: replicas run one of"
                " them, so remove the other"
            )
        if command and self.slots.max is not None:
            raise ValueError(
                "slots.max: the slots of replicas.command cannot be changed while it runs; remove slots.max,"
                " or use service.app"
            )
        if service.ready and not service.app:
            raise ValueError(
                "service.ready: is for service.app, which is empty; a replica of replicas.command answers at"
                " replicas.ready_path"
            )
        return self

    @model_validator(mode="after")
    def _names_the_deployment(self) -> Settings:
        if self.resizer.deployment:
            return self
        for name, value in (
            ("resizer.backend", self.resizer.backend),
            ("autoscaler.scaler", self.autoscaler.scaler),
        ):
            if value in {"kubernetes", "keda"}:
                raise ValueError(
                    f"resizer.deployment: is empty, but {name} is {value!r}; set it to the name of the"
                    " Deployment whose pods are the replicas"
                )
        return self

    @property
    def replica_program(self) -> str:
        """The application or command that replicas run; empty means the model service."""
        return self.service.app or " ".join(self.replicas.command)

    @property
    def slow_seconds(self) -> float:
        """Requests with a longer response time count as slow; in seconds."""
        return self.telemetry.slow_seconds or self.slo.latency_seconds

    @property
    def control_file(self) -> Path:
        """The file through which `tidegate pause` controls the autoscaler."""
        return self.stack.data_dir / "autoscaler" / "control.json"

    @property
    def targets_dir(self) -> Path:
        """The folder in which replicas on Ray Serve register the addresses of their metrics."""
        return self.ray.targets_dir or self.stack.data_dir / "targets"

    @property
    def log_dir(self) -> Path:
        """The folder of event files."""
        return self.stack.data_dir / "logs"


def load(**overrides: Any) -> Settings:
    """Read all settings. Keyword arguments, one per section, override all other sources.

    Raises:
        SettingsError: settings are unknown or invalid; the message has a line for each.
    """
    names = setting_names()
    misspelled = [f"{name}: {unknown_variable(name, names)}" for name in unknown_variables()]
    if problems := misspelled or not_json(names):
        raise SettingsError("\n".join(problems))
    file = read_file()
    given = merged(file, read_variables(os.environ, names))
    try:
        return Settings.model_validate(merged(given, overrides))
    except ValidationError as error:
        raise SettingsError("\n".join(explain(error, names, file))) from error


@cache
def setting_names() -> dict[str, Any]:
    """The default of each setting, by its dotted name, in the order of the file."""
    return {
        name: section.model_fields[field].default for name, section, field in _walk(Settings, "")
    }


def setting_descriptions() -> dict[str, str]:
    """The description of each setting, by its dotted name; empty if it has none."""
    return {
        name: descriptions(section).get(field, "") for name, section, field in _walk(Settings, "")
    }


def unknown_variables() -> list[str]:
    """The environment variables with the prefix of settings that are none."""
    return [name for name in os.environ if _is_unknown(name)]


def _walk(section: type[BaseModel], prefix: str) -> Iterator[tuple[str, type[BaseModel], str]]:
    """The settings of a section: dotted name, section of its own, and name there."""
    for name, field in section.model_fields.items():
        if isinstance(field.default, BaseModel):
            yield from _walk(type(field.default), f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", section, name


def _is_unknown(name: str) -> bool:
    if not name.startswith(ENV_PREFIX) or name in ENV_RESERVED:
        return False
    # A whole section can be given as JSON, so a section's own name is known too.
    return not any(
        known == name or known.startswith(f"{name}{ENV_DELIMITER}")
        for known in map(variable, setting_names())
    )
