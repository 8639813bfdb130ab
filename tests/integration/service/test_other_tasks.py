"""A replica of a model of tensors, asked by Triton's own client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton

from support.eventually import eventually
from support.processes.service_process import service
from support.samples.served_models import write_tensor_model

pytestmark = pytest.mark.integration


def tensor(name: str, array: np.ndarray, datatype: str, *, binary: bool) -> Any:
    """An input of the client."""
    found = triton.InferInput(name, list(array.shape), datatype)
    found.set_data_from_numpy(array, binary_data=binary)
    return found


def requested(*names: str, binary: bool) -> list[Any]:
    """Requested outputs of the client."""
    return [triton.InferRequestedOutput(name, binary_data=binary) for name in names]


def test_a_triton_client_sends_and_reads_tensors(tmp_path: Path) -> None:
    write_tensor_model(tmp_path / "model")
    arrays: dict[str, tuple[Any, str]] = {
        "image": (np.arange(18, dtype=np.float32).reshape(3, 2, 3), "FP32"),
        "tokens": (np.arange(15, dtype=np.int64).reshape(3, 5), "INT64"),
        "name": (np.array(["a", "", "Zürich"], dtype=object), "BYTES"),
        "flag": (np.array([[True], [False], [True]]), "BOOL"),
    }
    names = ("mean", "doubled", "same_name", "not_flag")
    with (
        service(tmp_path, tmp_path / "model") as replica,
        triton.InferenceServerClient(f"127.0.0.1:{replica.port}") as client,
    ):
        eventually(lambda: replica.ready() == 200, "ready")
        for binary in (False, True):
            inputs = [tensor(name, *pair, binary=binary) for name, pair in arrays.items()]
            found = client.infer("scene", inputs, outputs=requested(*names, binary=binary))
            image, tokens = arrays["image"][0], arrays["tokens"][0]
            assert found.as_numpy("mean") == pytest.approx(image.mean(axis=2))
            assert found.as_numpy("doubled").tolist() == (2 * tokens).tolist()
            texts = [getattr(x, "decode", lambda x=x: x)() for x in found.as_numpy("same_name")]
            assert texts == ["a", "", "Zürich"]
            assert found.as_numpy("not_flag").tolist() == [[False], [True], [False]]
        assert replica.stop() == 0
