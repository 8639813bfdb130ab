"""What is started often does not load large packages that it does not use."""

from __future__ import annotations

import subprocess
import sys

import pytest

TRAINING = {"joblib", "matplotlib", "onnx", "pandas", "scipy", "skl2onnx", "sklearn"}


@pytest.mark.parametrize(
    ("module", "unused"),
    [
        (
            "tidegate.service.__main__",
            {*TRAINING, *{"aiohttp", "elasticsearch", "google.protobuf", "rich"}},
        ),
        # In Docker Compose they have 80 and 96 MiB.
        ("tidegate.autoscaler.live.run", {*TRAINING, "grpc", "kubernetes", "google.protobuf"}),
        ("tidegate.resizer.compose.run", {*TRAINING, "grpc", "kubernetes", "google.protobuf"}),
        # It has 100 MB.
        ("tidegate.console.run", {*TRAINING, "numpy", "rich", "yaml"}),
        # So `--help` is there at once.
        ("tidegate.cli", {*TRAINING, "importlib.metadata", "pydantic", "rich"}),
        ("tidegate.terminal.status_command", {*TRAINING, "jinja2", "numpy", "uvicorn"}),
        ("tidegate.terminal.down_command", {*TRAINING, "numpy", "uvicorn", "aiohttp.web"}),
    ],
)
def test_a_start_imports_only_what_it_needs(module: str, unused: set[str]) -> None:
    program = f"import sys, {module}; print(*sorted({unused!r} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr
