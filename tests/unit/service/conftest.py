"""The service's application in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.eventually import eventually_async
from support.harnesses.served_app import Serve, Served, lifespan
from tidegate.service.artefacts.import_cache import find_model
from tidegate.service.http.app import create_app
from tidegate.service.model.artefact import Artefact
from tidegate.settings import Settings


@pytest.fixture
def serve(flights: Artefact, tmp_path: Path) -> Serve:
    """Serves a model until the block ends: `async with serve(device={…}) as served: …`.

    With `loaded=False` the model is not loaded before the test sets `served.may_load`.
    """

    @asynccontextmanager
    async def serve_model(
        *,
        model: Path = flights.path,
        model_settings: Mapping[str, Any] | None = None,
        loaded: bool = True,
        **sections: Any,
    ) -> AsyncIterator[Served]:
        model_section = {"path": model, **(model_settings or {})}
        settings = Settings(model=model_section, stack={"data_dir": tmp_path}, **sections)
        app = create_app(settings)
        may_load = asyncio.Event()

        async def find_when_allowed(path: Path, settings: Settings) -> Artefact:
            await may_load.wait()
            return await find_model(path, settings)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tidegate.service.serving.model_service.served_model", find_when_allowed)
            replica = app.state.replica.app
            async with lifespan(replica):
                transport = httpx.ASGITransport(replica, raise_app_exceptions=False)
                client = httpx.AsyncClient(transport=transport, base_url="http://flights")
                async with client:
                    served = Served(app, client, settings.log_dir, may_load)
                    if loaded:
                        may_load.set()
                        await eventually_async(
                            lambda: served.replica.lifecycle.phase != "loading", seconds=60
                        )
                    yield served

    return serve_model
