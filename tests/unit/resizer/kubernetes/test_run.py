"""The process of the resizer for Kubernetes; errors at its start name the setting or the file."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from support.doubles.memory_deployment import MemoryDeployment
from tidegate.resizer.kubernetes.run import _run, run
from tidegate.settings import Resizer, load


def error_of(capsys: pytest.CaptureFixture[str], token: Path | None) -> str:
    assert run(load(resizer=Resizer(backend="kubernetes", deployment="m", token_file=token))) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err.rstrip()


def test_without_credentials(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("t\n")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(
        "kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none")
    )
    assert error_of(capsys, token).startswith("resizer: no credentials for the cluster: ")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    assert error_of(capsys, token) == (
        "resizer: no credentials for the cluster: Service token file does not exist; run it in a pod with a"
        " service account, or set KUBECONFIG to a kubeconfig file"
    )


async def test_it_serves_replicas_and_metrics_while_it_brings_the_deployment_to_its_number(
    served: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def opened(*_: object) -> AsyncIterator[MemoryDeployment]:
        yield MemoryDeployment(2, time.monotonic)

    monkeypatch.setattr("tidegate.resizer.kubernetes.run.open_deployment", opened)
    status, metrics = await served(_run, 2, backend="kubernetes", deployment="m")
    assert (status.desired, status.ready) == (2, 2)
    assert "process_resident_memory_bytes" in metrics
