"""A running replica: its start-up cost, and its responses to real clients."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import ml_dtypes
import numpy as np
import psutil
import pytest
import schemathesis
import tritonclient.http as triton
from hypothesis import Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from support.checkout import ROOT
from support.eventually import eventually
from support.processes.service_process import Service, service
from tidegate.service.model.artefact import Artefact

pytestmark = pytest.mark.integration

PHASES = (Phase.explicit, Phase.generate)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def running(flights: Artefact, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A replica that the tests share; it must shut down with exit code 0."""
    with service(tmp_path_factory.mktemp("service"), flights.path) as found:
        eventually(lambda: found.ready() == 200, "ready")
        yield found
        assert found.stop() == 0


def test_a_replica_starts_without_the_packages_of_training(
    running: Service,
) -> None:
    process = psutil.Process(running.process.pid)
    mapped = {Path(mapping.path).name for mapping in process.memory_maps()}
    assert any(name.startswith("onnxruntime_pybind11_state") for name in mapped)
    libraries = " ".join(str(mapping.path) for mapping in process.memory_maps())
    for package in ("sklearn", "pandas", "scipy", "joblib", "skl2onnx"):
        assert f"/{package}/" not in libraries


def inputs_for(metadata: dict[str, Any], rows: list[dict[str, Any]], *, binary: bool) -> list[Any]:
    """Input tensors, from the model's metadata."""
    inputs = []
    for described in metadata["inputs"]:
        values = [[row[described["name"]]] for row in rows]
        dtype = {"BYTES": object, "INT64": np.int64, "FP32": np.float32}[described["datatype"]]
        tensor = triton.InferInput(described["name"], [len(rows), 1], described["datatype"])
        tensor.set_data_from_numpy(np.array(values, dtype=dtype), binary_data=binary)
        inputs.append(tensor)
    return inputs


@pytest.fixture
def client(running: Service) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(f"127.0.0.1:{running.port}") as found:
        yield found


def complete(samples: list[dict[str, Any]], rows: int) -> list[dict[str, Any]]:
    """Rows without missing values, which numpy's JSON tensors cannot represent."""
    return [row for row in samples if None not in row.values()][:rows]


@pytest.mark.parametrize("binary_in", [False, True])
@pytest.mark.parametrize("binary_out", [False, True])
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_a_triton_client_infers(
    *,
    running: Service,
    client: triton.InferenceServerClient,
    samples: list[dict[str, Any]],
    binary_in: bool,
    binary_out: bool,
    compression: str | None,
) -> None:
    rows = complete(samples, 50)
    inputs = inputs_for(client.get_model_metadata("flights"), rows, binary=binary_in)
    names = ("label", "probability", "probabilities")
    result = client.infer(
        "flights",
        inputs,
        outputs=[triton.InferRequestedOutput(name, binary_data=binary_out) for name in names],
        request_id="17",
        request_compression_algorithm=compression,
        response_compression_algorithm=compression,
    )
    plain = httpx.post(f"{running.url}/predict", json={"instances": rows}, timeout=60).json()[
        "predictions"
    ]
    labels = [getattr(x, "decode", lambda x=x: x)() for x in result.as_numpy("label")]
    assert labels == [row["label"] for row in plain]
    expected = [row["probability"] for row in plain]
    assert result.as_numpy("probability").tolist() == pytest.approx(expected, abs=1e-6)
    assert result.as_numpy("probabilities").shape == (50, 2)
    assert result.get_response()["id"] == "17"


def test_a_triton_client_that_sends_bf16_gets_the_datatypes_that_are_offered(
    client: triton.InferenceServerClient, samples: list[dict[str, Any]]
) -> None:
    rows = complete(samples, 1)
    inputs = inputs_for(client.get_model_metadata("flights"), rows, binary=True)
    number = next(at for at, one in enumerate(inputs) if one.datatype() == "FP32")
    inputs[number] = triton.InferInput(inputs[number].name(), [1, 1], "BF16")
    inputs[number].set_data_from_numpy(np.ones((1, 1), ml_dtypes.bfloat16))
    expected = rf"inputs\.{number}\.datatype: Input should be 'BOOL', .*'FP32', .*'BYTES'"
    with pytest.raises(triton.InferenceServerException, match=expected) as refused:
        client.infer("flights", inputs)
    assert refused.value.status() == "400"


def test_a_triton_client_gets_the_metadata_of_the_server_and_of_the_model(
    client: triton.InferenceServerClient,
) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    version = client.get_model_metadata("flights")["versions"][0]
    assert client.is_model_ready("flights")
    assert client.is_model_ready("flights", version)
    assert not client.is_model_ready("flights", "0")
    assert client.get_server_metadata()["name"] == "tidegate"
    assert client.get_model_config("flights")["backend"] == "onnxruntime"
    assert client.get_model_repository_index()[0]["state"] == "READY"
    assert client.get_inference_statistics("flights")["model_stats"][0]["version"] == version


def test_a_triton_client_gets_the_reason_of_an_error(
    client: triton.InferenceServerClient, samples: list[dict[str, Any]]
) -> None:
    rows = complete(samples, 2)
    rows[1] = rows[1] | {"dest": "XXX"}
    inputs = inputs_for(client.get_model_metadata("flights"), rows, binary=True)
    with pytest.raises(
        triton.InferenceServerException, match=r"inputs\.1\.dest: Unknown value 'XXX'"
    ):
        client.infer("flights", inputs)
    with pytest.raises(
        triton.InferenceServerException, match="Unknown model; this server serves flights"
    ):
        client.infer("cats", inputs)


@pytest.mark.parametrize("document", ["docs/reference/http.md", "README.md"])
def test_the_requests_in_the_documentation_succeed(running: Service, document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    examples = re.findall(
        r"\$ curl (?:-i )?http://127\.0\.0\.1:8000(/\S+)(.*?)-d '(.*?)'\n", text, re.DOTALL
    )
    assert examples
    for path, options, body in examples:
        headers = dict(re.findall(r"-H '([^:']+): ([^']+)'", options))
        response = httpx.post(
            running.url + path, content=body.encode(), headers=headers, timeout=60
        )
        assert response.status_code == 200, response.text


def test_a_triton_client_gets_the_reason_for_what_is_not_offered(
    client: triton.InferenceServerClient, samples: list[dict[str, Any]]
) -> None:
    refused = triton.InferenceServerException
    for call in (client.load_model, client.unload_model):
        with pytest.raises(refused, match="loading and unloading are not offered"):
            call("flights")
    with pytest.raises(refused, match="shared memory is not supported"):
        client.register_system_shared_memory("region", "/region", 64)
    with pytest.raises(refused, match="shared memory is not supported"):
        client.get_system_shared_memory_status()
    first, *others = inputs_for(client.get_model_metadata("flights"), samples[:1], binary=True)
    first.set_shared_memory("region", 64)
    with pytest.raises(refused, match=r"inputs\.0\.parameters\.shared_memory_region: shared"):
        client.infer("flights", [first, *others])


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_answer_is_one_that_openapi_documents(running: Service, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_url(f"{running.url}/openapi.json")
    found = [schema[path][method] for path in schema for method in schema[path]]
    assert len(found) == 13
    for operation in found:
        if mode is GenerationMode.NEGATIVE and not operation.body:
            continue  # nothing of it can be wrong

        @settings(max_examples=8, deadline=None, derandomize=True, database=None, phases=PHASES)
        @given(operation.as_strategy(generation_mode=mode))
        def check(case: Any) -> None:
            case.call_and_validate(checks=CHECKS)

        check()


def test_the_triton_client_in_the_documentation_succeeds(running: Service) -> None:
    text = (ROOT / "docs" / "reference" / "http.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", program.replace("127.0.0.1:8000", f"127.0.0.1:{running.port}")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[[0.")
