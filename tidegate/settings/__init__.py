"""Every setting of Tidegate, read once.

Where a value comes from, first match wins: an environment variable (``TIDEGATE_SLO__LATENCY_SECONDS``),
then ``tidegate.toml`` (the file named by ``TIDEGATE_CONFIG``, else the one in the working directory),
then the default here. An unknown or bad setting is a `SettingsError` that names it.
"""

from __future__ import annotations

import os
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from tidegate.settings.events import (
    Collector,
    Elasticsearch,
    Exporter,
    Kibana,
    Logstash,
    Provision,
    Store,
)
from tidegate.settings.scaling import (
    Autoscaler,
    Gateway,
    Prometheus,
    Replicas,
    Resizer,
    Stack,
)
from tidegate.settings.service import Device, Drift, Model, Service, Slo, Slots, Telemetry
from tidegate.settings.verify import Verify

__all__ = [
    "Autoscaler",
    "Collector",
    "Device",
    "Drift",
    "Elasticsearch",
    "Logstash",
    "Replicas",
    "Resizer",
    "Settings",
    "SettingsError",
    "Slo",
    "Store",
    "config_file",
    "load",
    "setting_names",
]

ENV_PREFIX = "TIDEGATE_"
ENV_DELIMITER = "__"
# Variables with our prefix that are not settings: where installed programs and the file lie, and what
# tests must not skip.
ENV_RESERVED = frozenset({"TIDEGATE_CACHE", "TIDEGATE_CONFIG", "TIDEGATE_REQUIRE_ALL"})


class SettingsError(ValueError):
    """A setting is unknown or bad. Its text names each one, where it stands and what is wrong."""


class Settings(BaseSettings):
    """All of them, immutable."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter=ENV_DELIMITER,
        extra="forbid",
        frozen=True,
    )

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
    exporter: Exporter = Exporter()
    provision: Provision = Provision()
    kibana: Kibana = Kibana()
    verify: Verify = Verify()
    drift: Drift = Drift()
    stack: Stack = Stack()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the file that `load` read; nothing else."""
        del dotenv_settings, file_secret_settings
        return (init_settings, env_settings, InitSettingsSource(settings_cls, _read_file()))

    @property
    def slow_seconds(self) -> float:
        """From which response time a request counts as slow, in seconds."""
        return self.telemetry.slow_seconds or self.slo.latency_seconds

    @property
    def control_file(self) -> Path:
        """What `tidegate pause` tells the autoscaler."""
        return self.stack.data_dir / "autoscaler" / "control.json"

    @property
    def log_dir(self) -> Path:
        """The folder of event files."""
        return self.stack.data_dir / "logs"


def config_file() -> Path | None:
    """The settings file in force, or None.

    Raises:
        SettingsError: `TIDEGATE_CONFIG` names a file that is not there.
    """
    named = os.environ.get("TIDEGATE_CONFIG")
    path = Path(named or "tidegate.toml")
    if path.is_file():
        return path
    if named:
        raise SettingsError(f"TIDEGATE_CONFIG: there is no file {named}")
    return None


def load(**overrides: Any) -> Settings:
    """Read every setting; keyword arguments (one a section) win over all sources.

    Raises:
        SettingsError: a setting is unknown or bad; the text has a line for each.
    """
    unknown = [name for name in os.environ if _is_unknown(name)]
    if unknown:
        raise SettingsError("\n".join(f"{name}: there is no such setting" for name in unknown))
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(error))) from error


@cache
def setting_names() -> dict[str, tuple[Any, str]]:
    """Each setting's dotted name, with its default and its meaning, in file order."""
    return dict(_walk(Settings, ""))


def _walk(section: type[BaseModel], prefix: str) -> list[tuple[str, tuple[Any, str]]]:
    found: list[tuple[str, tuple[Any, str]]] = []
    for name, field in section.model_fields.items():
        if isinstance(field.default, BaseModel):
            found += _walk(type(field.default), f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", (field.default, field.description or "")))
    return found


def _is_unknown(variable: str) -> bool:
    if not variable.startswith(ENV_PREFIX) or variable in ENV_RESERVED:
        return False
    dotted = variable.removeprefix(ENV_PREFIX).lower().replace(ENV_DELIMITER, ".")
    # A whole section can be given as JSON, so a section's own name is known too.
    return not any(name == dotted or name.startswith(f"{dotted}.") for name in setting_names())


def _read_file() -> dict[str, Any]:
    path = config_file()
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error


def _explain(error: ValidationError) -> list[str]:
    lines = []
    for item in error.errors(include_url=False):
        name = ".".join(str(part) for part in item["loc"])
        variable = ENV_PREFIX + name.upper().replace(".", ENV_DELIMITER)
        where = variable if variable in os.environ else str(config_file() or "the arguments")
        if item["type"] == "extra_forbidden":
            lines.append(f"{where}: {name}: there is no such setting")
        else:
            given = (
                "" if isinstance(item["input"], dict | BaseModel) else f" (got {item['input']!r})"
            )
            lines.append(f"{where}: {name}: {item['msg']}{given}")
    return lines
