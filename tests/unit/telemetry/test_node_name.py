"""The name of the replica where it is known late."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from support.harnesses.telemetry_harness import Harness
from support.samples.plain_asgi import plain_app
from tidegate.settings import Settings
from tidegate.telemetry import Telemetry, TelemetryMiddleware, instrument
from tidegate.telemetry.identity import node_label


def settings(folder: Path, **service: Any) -> Settings:
    return Settings(stack={"data_dir": folder}, service={"name": "shop", **service})


class Replica:
    """A node name that a framework sets after the start."""

    def __init__(self) -> None:
        self.name: str | None = ""
        self.asked = 0

    def __call__(self) -> str:
        self.asked += 1
        if self.name is None:
            raise RuntimeError("not in a replica")
        return self.name


@pytest.mark.parametrize("unknown", ["", None])
async def test_a_name_that_is_known_late_is_used_from_then_on(
    harness: Harness, tmp_path: Path, unknown: str | None
) -> None:
    replica = Replica()
    replica.name = unknown
    telemetry = Telemetry(settings(tmp_path), node_name=replica)
    harness.telemetries.append(telemetry)
    app = TelemetryMiddleware(plain_app, telemetry)
    async with harness.client(app) as client:
        await client.get("/")
        first = telemetry.origin.node
        assert first.endswith(f"-{os.getpid()}")
        replica.name = "shop#a/7"
        await client.get("/")
        asked = replica.asked
        await client.get("/")
    assert replica.asked == asked
    names = [event["service"]["node"]["name"] for event in harness.events("request")]
    assert sorted(names) == ["shop-a-7", "shop-a-7", first]
    files = {path.name.partition(".")[0] for path in (tmp_path / "logs").iterdir()}
    assert files == {first, "shop-a-7"}


def test_a_name_that_is_known_at_the_start_is_used_at_once(tmp_path: Path) -> None:
    telemetry = instrument(Starlette(), settings(tmp_path), node_name=lambda: "shop-7")
    telemetry.close()
    assert telemetry.origin.node == telemetry.writer.node == "shop-7"


def test_the_setting_takes_precedence(tmp_path: Path) -> None:
    replica = Replica()
    telemetry = Telemetry(settings(tmp_path, node_name="shop-1"), node_name=replica)
    telemetry.close()
    assert (telemetry.origin.node, replica.asked) == ("shop-1", 0)


def test_a_label_is_a_valid_file_name() -> None:
    assert node_label("a/b c#1" + "x" * 300) == "a-b-c-1" + "x" * 93
