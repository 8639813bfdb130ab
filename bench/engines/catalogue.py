"""The engines, each as its authors recommend for a light model on the CPU, with the same number of slots."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bench.engines.engine import Engine, Task

ROOT: Final = Path(__file__).parents[2]
SERVED: Final = Path(__file__).parent / "served"
FLIGHTS: Final = ROOT / "artefacts" / "flights"
CACHE: Final = Path(os.environ.get("TIDEGATE_CACHE") or Path.home() / ".cache" / "tidegate")


def model(_: Task) -> dict[str, str]:
    """Where the code and the model are."""
    return {"PYTHONPATH": str(SERVED), "FLIGHTS": str(FLIGHTS)}


def tidegate(task: Task) -> Mapping[str, str]:
    """The settings of a stack: the defaults, but for ports, folder, slots and bounds."""
    names = ("GATEWAY__PORT", "GATEWAY__METRICS_PORT", "PROMETHEUS__PORT", "COLLECTOR__METRICS_PORT",
             "AUTOSCALER__METRICS_PORT", "DRIFT__WATCH_PORT", "REPLICAS__FIRST_PORT")  # fmt: skip
    settings = {name: str(task.port + place) for place, name in enumerate(names)}
    settings |= {
        "STACK__DATA_DIR": str(task.folder / "data"),
        "SLOTS__PER_REPLICA": str(task.slots),
        "REPLICAS__MAX": str(task.replicas),
        "MODEL__PATH": str(FLIGHTS),
        "CONSOLE__ENABLED": "false",
    }
    return {**model(task), **{f"TIDEGATE_{name}": value for name, value in settings.items()}}


def up(*arguments: str) -> list[str]:
    """A stack in the foreground."""
    return [sys.executable, "-m", "tidegate", "up", *arguments]


def uvicorn(task: Task) -> list[str]:
    """The application in uvicorn, one process."""
    loops = ("--loop", "uvloop", "--http", "httptools", "--no-access-log")
    where = ("--host", "127.0.0.1", "--port", str(task.port))
    return [sys.executable, "-m", "uvicorn", *loops, *where, "plain_app:app"]


def bentoml(task: Task) -> list[str]:
    """`bentoml serve`, as its documentation starts a service in production."""
    program = str(CACHE / "bentoml" / "bin" / "bentoml")
    where = ("--host", "127.0.0.1", "--port", str(task.port), "--working-dir", str(SERVED))
    return [program, "serve", "bento_service:FlightsService", *where]


def mlserver(task: Task) -> list[str]:
    """`mlserver start` with a runtime of one's own, in the server's process."""
    server = {
        "host": "127.0.0.1",
        "http_port": task.port,
        "grpc_port": task.port + 1,
        "metrics_port": task.port + 2,
        # Its documentation recommends workers of their own for models that block the server's loop.
        "parallel_workers": 0,
        "debug": False,
    }
    (task.folder / "settings.json").write_text(json.dumps(server))
    runtime = {"name": "flights", "implementation": "mlserver_flights.FlightsRuntime"}
    (task.folder / "model-settings.json").write_text(json.dumps(runtime))
    return [str(CACHE / "mlserver" / "bin" / "mlserver"), "start", str(task.folder)]


def ray(task: Task) -> list[str]:
    """A Ray of one node, in a network namespace, and the application on it."""
    program = str(CACHE / "ray" / "bin" / "python")
    return [program, str(SERVED / "ray_driver.py"), str(task.port), str(task.folder / "ray")]


def ray_variables(task: Task, **more: str) -> Mapping[str, str]:
    """What the driver and the application read."""
    own = {"SLOTS": str(task.slots), "REPLICAS": str(task.replicas)}
    # Ray runs its workers at nice 15 unless it is told otherwise.
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    # A busy machine needs more than 5 and 10 s; else its proxy is restarted again and again.
    checks = ("READY_CHECK", "HEALTH_CHECK")
    quiet |= {f"RAY_SERVE_PROXY_{each}_TIMEOUT_S": "60" for each in checks}
    return {**model(task), **own, **quiet, **more}


ENGINES: Final = (
    Engine(
        "plain FastAPI",
        "uvicorn with uvloop and httptools, one process, no telemetry",
        "the least CPU and memory; no gateway, queue, events, metrics or scaling",
        uvicorn,
        model,
    ),
    Engine(
        "Tidegate, FastAPI application",
        "`tidegate up --app`, defaults: the same application behind the gateway, with everything",
        "",
        lambda _: up("--app", "plain_app:app"),
        lambda task: {**tidegate(task), "TIDEGATE_SERVICE__APP_DIR": str(SERVED)},
        scales=True,
    ),
    Engine(
        "Tidegate, model service",
        "`tidegate up` with the model's artefact, defaults: drift, signed ids, checked rows",
        "",
        lambda _: up(),
        tidegate,
    ),
    Engine(
        "MLServer 1.7.1",
        "`mlserver start`, own runtime, parallel_workers 0, rows encoded by the client",
        "gRPC, batching, many models in a server, Python runtimes in worker processes",
        mlserver,
        model,
        path="/v2/models/flights/infer",
        tensors=True,
    ),
    Engine(
        "BentoML 1.4.40",
        "`bentoml serve`, async method of @bentoml.api, workers=1, defaults",
        "packaging of models with their code and environment, batching, composition",
        bentoml,
        lambda task: {**model(task), "BENTOML_DO_NOT_TRACK": "True"},
    ),
    Engine(
        "Ray Serve 2.60, HAProxy",
        "RAY_SERVE_ENABLE_HA_PROXY=1, @serve.ingress of the same application, max_ongoing_requests = slots",
        "clusters, GPUs, pipelines of models; the head node is a cost once per cluster",
        ray,
        lambda task: ray_variables(task, RAY_SERVE_ENABLE_HA_PROXY="1"),
        namespace=True,
    ),
    Engine(
        "Ray Serve 2.60, proxy",
        "the default HTTP proxy, @serve.ingress of the same application, max_ongoing_requests = slots",
        "clusters, GPUs, pipelines of models; the head node is a cost once per cluster",
        ray,
        ray_variables,
        namespace=True,
        scales=True,
    ),
)
