"""The ASGI application: its routes, and the loading of its model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI
from starlette.routing import Route

from tidegate.service import VERSION
from tidegate.service.http.endpoints import Endpoints
from tidegate.service.http.errors import add_error_handlers
from tidegate.service.http.feedback import Feedback
from tidegate.service.http.v2 import InferenceV2
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
    # The routes are Starlette's: FastAPI's validation of a body costs more than the model's prediction.
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
    replica = make_replica(app, settings)
    service = ModelService(replica)
    app.state.replica, app.state.service = replica, service
    app.router.routes += [
        *Endpoints(service).routes(),
        Route("/feedback", Feedback(service).post, methods=["POST"]),
        *InferenceV2(service).routes(),
    ]
    add_error_handlers(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: ModelService = app.state.service
    loading = Loading[Model]("the model")
    loading.start(service.load)

    async def load_shadow() -> None:  # the replica is ready before that
        try:
            model = await loading.until_loaded()
        except Exception:  # noqa: BLE001 - whatever it is, Loading has logged it
            return
        await service.after_response.load(model)

    shadow = asyncio.create_task(load_shadow())
    yield
    shadow.cancel()
    await loading.stop()
    with suppress(asyncio.CancelledError):
        await shadow
    service.close()
