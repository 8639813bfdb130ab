"""The application for `import_path` in a configuration of `serve deploy`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.ray.deployment import deployment


def application(args: Mapping[str, Any]) -> Any:
    """Build the application: `import_path: tidegate.ray:application`.

    Args:
        args: `args` in the configuration. `app` is the application, `module:attribute`; without it,
            `service.app` or the model service is served.

    Returns:
        A `ray.serve.Application`.

    Raises:
        ValueError: an argument is unknown.
        TypeError: one is no text.
        SettingsError: a setting is invalid.
    """
    unknown = sorted(set(args) - {"app"})
    if unknown:
        raise ValueError(f"args: unknown argument {unknown[0]!r}; there is only `app`")
    app = args.get("app", "")
    if not isinstance(app, str):
        raise TypeError(f'args: app must be text such as "shop.main:app" (got {app!r})')
    return deployment(app).bind()
