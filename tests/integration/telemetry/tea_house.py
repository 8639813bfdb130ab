"""A Starlette application with the same three lines."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from tidegate.telemetry import annotate, get_logger, instrument  # 1


async def tea(request: Request) -> Response:
    annotate(tea=request.path_params["name"])
    log.info("poured")
    return JSONResponse({"tea": request.path_params["name"]})


async def spilt(request: Request) -> Response:
    raise RuntimeError("hot")


app = Starlette(routes=[Route("/spilt", spilt), Mount("/menu", routes=[Route("/tea/{name}", tea)])])
telemetry = instrument(app)  # 2
log = get_logger("tea")  # 3
