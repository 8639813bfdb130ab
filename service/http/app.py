"""The ASGI application: its routes, and the loading of its model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from typing import Final

from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tidegate.service import VERSION
from tidegate.service.http.endpoints import Endpoints
from tidegate.service.http.errors import PREFIX, add_error_handlers
from tidegate.service.http.feedback import Feedback
from tidegate.service.http.v2 import InferenceV2
from tidegate.service.model.artefact import Manifest
from tidegate.service.model.loaded_model import Model
from tidegate.service.serving.model_service import ModelService
from tidegate.serving import Loading, make_replica, manual_slots
from tidegate.settings import Settings


def create_app(settings: Settings) -> FastAPI:
    """The service as an application.

    Serve `app.state.replica`, which is the application as a replica. It loads its model in the background:
    that of `app.state.service`.

    Raises:
        SettingsError: the key of prediction ids cannot be read.
    """
    app = FastAPI(
        title=settings.service.name,
        version=VERSION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        # A redirect would send the body to the host of the request header, which a client can forge.
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    # The number of rows decides whether a prediction needs a thread, so slots are acquired after parsing.
    manual_slots(app)
    direct = DirectPaths(app)
    replica = make_replica(direct, settings)
    service = ModelService(replica)
    endpoints, protocol = Endpoints(service), InferenceV2(service)
    app.state.replica, app.state.service = replica, service
    app.state.direct, app.state.infer = direct, protocol.infer
    app.router.routes += [
        *endpoints.routes(),
        Route("/feedback", Feedback(service).post, methods=["POST"]),
        *protocol.routes(),
    ]
    add_error_handlers(app)
    direct.endpoints["/predict"] = endpoints.predict
    return app


class DirectPaths:
    """The application as one ASGI callable: predictions without the layers of a framework.

    What is asked in another way than these paths, or by another method, is routed by FastAPI to the same
    endpoints.
    """

    def __init__(self, app: FastAPI) -> None:
        self.app: Final = app
        self.version: Final = app.version
        self.endpoints: Final[dict[str, ASGIApp]] = {}

    def add_model(self, manifest: Manifest, infer: ASGIApp) -> None:
        """Add the paths of a model, whose endpoint is `infer`."""
        path = f"{PREFIX}/models/{manifest.name}"
        for each in (path, f"{path}/versions/{manifest.version}"):
            self.endpoints[f"{each}/infer"] = infer

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve a request, or the lifespan."""
        app: ASGIApp = self.app
        # The paths are those without a root path, which FastAPI removes.
        if scope["type"] == "http" and scope["method"] == "POST" and not scope.get("root_path"):
            app = self.endpoints.get(scope["path"], app)
        return app(scope, receive, send)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: ModelService = app.state.service
    loading = Loading[Model]("the model")
    loading.start(service.load)

    async def when_loaded() -> None:  # the replica is ready before that
        try:
            model = await loading.until_loaded()
        except Exception:  # noqa: BLE001 - whatever it is, Loading has logged it
            return
        app.state.direct.add_model(model.manifest, app.state.infer)
        await service.after_response.load(model)
        await service.check_rollout(model.manifest)

    shadow = asyncio.create_task(when_loaded())
    yield
    shadow.cancel()
    await loading.stop()
    with suppress(asyncio.CancelledError):
        await shadow
    service.close()
