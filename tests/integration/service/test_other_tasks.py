"""Replicas of a regressor and of a model of tensors, asked by Triton's own client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton

from support.eventually import eventually
from support.processes.service_process import Service, service
from support.samples.served_models import NAMES, write_regressor, write_tensor_model

pytestmark = pytest.mark.integration

Serve = Callable[[Callable[[Path], object]], AbstractContextManager[Service]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Starts a replica of the model that a function writes; it must shut down with exit code 0."""

    @contextmanager
    def start(write: Callable[[Path], object]) -> Iterator[Service]:
        write(tmp_path / "model")
        with service(tmp_path, tmp_path / "model") as found:
            eventually(lambda: found.ready() == 200, "ready")
            yield found
            assert found.stop() == 0

    return start


def tensor(name: str, array: np.ndarray, datatype: str, *, binary: bool) -> Any:
    """An input of the client."""
    found = triton.InferInput(name, list(array.shape), datatype)
    found.set_data_from_numpy(array, binary_data=binary)
    return found


def requested(*names: str, binary: bool) -> list[Any]:
    """Requested outputs of the client."""
    return [triton.InferRequestedOutput(name, binary_data=binary) for name in names]


def test_a_triton_client_reads_values_and_intervals(serve: Serve) -> None:
    matrix = np.linspace(-0.1, 0.1, 12, dtype=np.float32).reshape(4, 3)
    rows = [dict(zip(NAMES, map(float, row), strict=True)) for row in matrix]
    with serve(write_regressor) as replica:
        response = httpx.post(f"{replica.url}/predict", json={"instances": rows}, timeout=60)
        plain = response.json()["predictions"]
        with triton.InferenceServerClient(f"127.0.0.1:{replica.port}") as client:
            assert [
                each["name"] for each in client.get_model_metadata("progression")["outputs"]
            ] == [
                "value",
                "interval",
            ]
            for binary in (False, True):
                found = client.infer(
                    "progression",
                    [tensor("features", matrix, "FP32", binary=binary)],
                    outputs=requested("value", "interval", "prediction_id", binary=binary),
                )
                values, intervals = found.as_numpy("value"), found.as_numpy("interval")
                assert values.dtype == np.float64
                assert values == pytest.approx([one["value"] for one in plain], rel=1e-6)
                expected = np.array([one["interval"] for one in plain])
                assert intervals == pytest.approx(expected, rel=1e-6)
                assert len(set(found.as_numpy("prediction_id").tolist())) == 4


def test_a_triton_client_sends_and_reads_tensors(serve: Serve) -> None:
    arrays: dict[str, tuple[Any, str]] = {
        "image": (np.arange(18, dtype=np.float32).reshape(3, 2, 3), "FP32"),
        "tokens": (np.arange(15, dtype=np.int64).reshape(3, 5), "INT64"),
        "name": (np.array(["a", "", "Zürich"], dtype=object), "BYTES"),
        "flag": (np.array([[True], [False], [True]]), "BOOL"),
    }
    names = ("mean", "doubled", "same_name", "not_flag")
    with (
        serve(write_tensor_model) as replica,
        triton.InferenceServerClient(f"127.0.0.1:{replica.port}") as client,
    ):
        for binary in (False, True):
            inputs = [tensor(name, *pair, binary=binary) for name, pair in arrays.items()]
            found = client.infer("scene", inputs, outputs=requested(*names, binary=binary))
            image, tokens = arrays["image"][0], arrays["tokens"][0]
            assert found.as_numpy("mean") == pytest.approx(image.mean(axis=2))
            assert found.as_numpy("doubled").tolist() == (2 * tokens).tolist()
            texts = [getattr(x, "decode", lambda x=x: x)() for x in found.as_numpy("same_name")]
            assert texts == ["a", "", "Zürich"]
            assert found.as_numpy("not_flag").tolist() == [[False], [True], [False]]
