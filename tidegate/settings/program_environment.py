"""Settings from the environment of another program."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
)

from tidegate.settings import Settings
from tidegate.settings.sources import SettingsError


class _Arguments(Settings):
    """Settings that neither the environment of this program nor a settings file changes."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The arguments only."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


def settings_from(variables: Mapping[str, str]) -> Settings:
    """The settings that these environment variables set, and the defaults of the others.

    Raises:
        SettingsError: this version of Tidegate does not accept them.
    """
    source = EnvSettingsSource(Settings)
    source.env_vars = {name.lower(): text for name, text in variables.items()}
    try:
        return _Arguments(**source())
    except ValidationError as error:
        raise SettingsError(str(error)) from error
