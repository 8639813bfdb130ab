"""CPU time of telemetry per request: an application without telemetry, and with each kind of tracing.

Calls the ASGI application directly (no server, client or socket) in one process, and measures CPU time
(`time.process_time`). The variants alternate in short rounds, so that a slow phase of the machine affects
all of them; the result of each is the median of its rounds.

    python -m bench.telemetry --requests 2000 --rounds 15
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from fastapi import FastAPI
from starlette.types import Message, Scope

from bench.results import Result, result, save
from tidegate.settings import Settings
from tidegate.telemetry import annotate, instrument, span

SAMPLE_RATIO = 0.05
TARGET_US = 40.0
BODY = b'{"instances": [{"distance": 1.0}]}'
VARIANTS: dict[str, dict[str, Any] | None] = {
    "plain": None,
    "off": {"tracing": "off"},
    "native, 5 % kept": {"tracing": "native", "sample_ratio": SAMPLE_RATIO},
    "native, all kept": {"tracing": "native", "sample_ratio": 1.0},
    "opentelemetry, 5 % sampled": {"tracing": "opentelemetry"},
    "opentelemetry, as shipped": {"tracing": "opentelemetry"},
}
SAMPLED = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": str(SAMPLE_RATIO)}


@dataclass
class Variant:
    """A variant of the application, and its CPU time per request in each round."""

    name: str
    app: FastAPI
    close: Callable[[], None]
    microseconds: list[float] = field(default_factory=list)


def make_app() -> FastAPI:
    """Return the application, whose own work is the same in all variants."""
    app = FastAPI()

    @app.post("/predict/{kind}")
    async def predict(kind: str, body: dict[str, Any]) -> dict[str, Any]:
        with span("queue wait"):
            pass
        with span("predict", rows=len(body["instances"])):
            annotate(rows=len(body["instances"]), work=kind)
        return {"label": "late", "probability": 0.7}

    return app


def make_variant(name: str, telemetry: dict[str, Any] | None, folder: Path) -> Variant:
    """Return a variant of the application."""
    app = make_app()
    if telemetry is None:
        return Variant(name, app, lambda: None)
    settings = Settings(stack={"data_dir": folder / name}, telemetry=telemetry)
    with mock.patch.dict(os.environ, SAMPLED if "sampled" in name else {}):
        made = instrument(app, settings)
    return Variant(name, app, made.close)


def scope() -> Scope:
    """Return the scope of a request as from uvicorn, with the headers of a gateway."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/predict/light",
        "raw_path": b"/predict/light",
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"host", b"127.0.0.1:8000"),
            (b"user-agent", b"bench"),
            (b"accept", b"*/*"),
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(BODY)),
            (b"x-request-start", b"t=%d" % (time.time_ns() // 1000)),
        ],
        "client": ("127.0.0.1", 40_000),
        "server": ("127.0.0.1", 18_001),
    }


async def drive(app: FastAPI, requests: int) -> float:
    """Send the requests one after the other; return the CPU time per request in microseconds."""

    async def receive() -> Message:
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(message: Message) -> None:
        assert message.get("status", 200) == 200

    gc.collect()
    started = time.process_time()
    for _ in range(requests):
        await app(scope(), receive, send)
    return (time.process_time() - started) / requests * 1e6


async def measure(variants: list[Variant], requests: int, rounds: int) -> None:
    """Measure the variants alternately; the first round is a warm-up."""
    for turn in range(rounds + 1):
        order = variants if turn % 2 else variants[::-1]
        for variant in order:
            taken = await drive(variant.app, requests)
            if turn:
                variant.microseconds.append(taken)


def compared(variants: list[Variant]) -> list[Result]:
    """What telemetry itself takes: each round less the same round without it."""
    plain = variants[0].microseconds
    own = {
        variant.name: [
            value - base for value, base in zip(variant.microseconds, plain, strict=True)
        ]
        for variant in variants[1:]
    }
    sampled, kept = own["native, 5 % kept"], own["native, all kept"]
    unit = "µs/request"
    return [
        result("without it", plain, unit=unit),
        result("off", own["off"], unit=unit),
        result("native, 5 % kept", sampled, unit=unit, target=TARGET_US),
        result(
            "native, 5 % kept: against OpenTelemetry's instrumentation, 5 % sampled",
            *(sampled, own["opentelemetry, 5 % sampled"]),
            unit=unit,
        ),
        result(
            "native, all kept: against OpenTelemetry's instrumentation, as shipped",
            *(kept, own["opentelemetry, as shipped"]),
            unit=unit,
        ),
    ]


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--requests", type=int, default=2000, help="requests per round")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each variant")
    parser.add_argument("--only", choices=VARIANTS, help="run this one, and print nothing")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        names = [arguments.only] if arguments.only else VARIANTS
        variants = [make_variant(name, VARIANTS[name], Path(folder)) for name in names]
        asyncio.run(measure(variants, arguments.requests, arguments.rounds))
        for variant in variants:
            variant.close()
    if not arguments.only:
        save("telemetry", compared(variants))


if __name__ == "__main__":
    main()
