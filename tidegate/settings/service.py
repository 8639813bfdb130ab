"""The sections of the service: its identity, and its model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from tidegate.settings.section import Label, Ratio, Section, TextLike

# module.submodule:attribute.attribute
OPTIONAL_IMPORT: Final = r"([^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*)?"


class Service(Section):
    """The identity of the service in events, spans and metrics, and the application that its replicas run."""

    name: Label = "flights"
    """Name of the service (`service.name`). With `service.app` the default is its top-level module."""
    environment: Label = "local"
    """Environment that it runs in (`service.environment`)."""
    namespace: Annotated[
        str,
        TextLike(
            r"[a-z0-9][a-z0-9_.]{0,62}",
            "at most 63 lower-case letters, digits, _ and ., and begin with a letter or digit",
        ),
    ] = "default"
    """Namespace of its data streams (`data_stream.namespace`)."""
    node_name: Annotated[
        str, TextLike(r"[A-Za-z0-9._-]{0,100}", "at most 100 letters, digits, ., _ and -")
    ] = ""
    """Name of the replica (`service.node.name`); empty means `<name>-<host>-<pid>`."""
    app: Annotated[
        str, TextLike(OPTIONAL_IMPORT, 'empty or MODULE:NAME such as "shop.main:app"')
    ] = ""
    """ASGI application that the replicas run, such as `shop.main:app`, or a function without arguments that
    returns it; empty means the model service, which serves `model.path`."""
    app_dir: Path = Path()
    """Folder that `service.app`, or a predictor in `model.path`, is imported from; by default the working
    directory."""
    ready: Annotated[
        str, TextLike(OPTIONAL_IMPORT, 'empty or MODULE:NAME such as "shop.main:is_ready"')
    ] = ""
    """Function that tells whether `service.app` can serve, such as `shop.main:is_ready`; it has no arguments
    and returns a boolean. Empty means from its start."""


class Model(Section):
    """The served model."""

    path: Path = Path("artefacts/flights")
    """Artefact folder written by `tidegate train`, a model file (docs/reference/model-files.md), or a
    predictor in Python as `package.module:Class`, which is imported from `service.app_dir`."""
    digest: Annotated[str, TextLike(r"([0-9a-f]{16})?", "empty or 16 hexadecimal digits")] = ""
    """Digest of the model that replicas must serve, as `tidegate import-model` prints it: a replica that
    finds another model at `model.path` does not become ready. Empty means any."""
    shadow_path: Path | None = None
    """Shadow model, which scores a fraction of the requests after the response and never answers clients."""
    shadow_share: Ratio = 0.1
    """Fraction of requests scored by the shadow model."""
