"""Harnesses of instrumented applications, without settings from the environment."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from opentelemetry.instrumentation import _semconv
from starlette.applications import Starlette

from support.harnesses.telemetry_harness import Harness


@pytest.fixture(autouse=True)
def _no_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith(("OTEL_", "TIDEGATE_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def new_harness(tmp_path: Path) -> Iterator[Callable[[str], Harness]]:
    """Makes one with a folder of this name."""
    created: list[Harness] = []

    def create(name: str) -> Harness:
        created.append(Harness(tmp_path / name))
        return created[-1]

    yield create
    for each in created:
        for telemetry in each.telemetries:
            telemetry.close()
        each.telemetries.clear()
    if any(thread.name == "OtelBatchSpanRecordProcessor" for thread in threading.enumerate()):
        # End its exporter: one that still retries would draw random numbers during other tests.
        gc.collect()


@pytest.fixture
def harness(new_harness: Callable[[str], Harness]) -> Harness:
    return new_harness("")


@pytest.fixture
def select_conventions(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets OpenTelemetry's semantic conventions; they are otherwise read once per process."""

    def select(mode: str) -> None:
        monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", mode)
        stability = _semconv._OpenTelemetrySemanticConventionStability
        monkeypatch.setattr(stability, "_initialized", False)
        monkeypatch.setattr(stability, "_OTEL_SEMCONV_STABILITY_SIGNAL_MAPPING", {})

    return select


@pytest.fixture(autouse=True)
def _reset_structlog() -> Iterator[None]:
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


@pytest.fixture
def shop(harness: Harness) -> Harness:
    """An instrumented application."""
    harness.instrument(Starlette())
    return harness
