"""A replica as a process: `python replica.py PORT` answers each request after 60 ms."""

import asyncio
import sys

from aiohttp import web


async def ready(_: web.Request) -> web.Response:
    return web.Response()


async def work(request: web.Request) -> web.Response:
    await request.read()
    await asyncio.sleep(0.06)
    return web.json_response({})


app = web.Application()
app.router.add_get("/ready", ready)
app.router.add_post("/predict", work)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
