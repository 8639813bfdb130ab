"""The service as a process: real clients, real signals."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import joblib
import numpy as np
import orjson
import psutil
import pytest
import tritonclient.http as triton
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier

from service.artefact import SAMPLES, Artefact, load
from service.training import train_flights

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
PORTS = count(21110)


@dataclass
class Service:
    """A running replica."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ready(self) -> int | None:
        """The status of /ready; None if nobody listens."""
        try:
            return httpx.get(f"{self.url}/ready", timeout=5).status_code
        except httpx.TransportError:
            return None

    def number(self, metric: str) -> float:
        """The value of a metric without labels."""
        text = httpx.get(f"{self.url}/metrics", timeout=5).text
        return float(next(line for line in text.splitlines() if line.startswith(metric)).split()[1])

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; gives the exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)

    def events(self) -> list[dict[str, Any]]:
        """The events of answered requests."""
        lines = [
            orjson.loads(line)
            for file in (self.folder / "logs").glob("*.ndjson")
            for line in file.read_bytes().splitlines()
        ]
        return [line for line in lines if line["event"]["dataset"] == "tidegate.request"]


def until(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.01)


@contextmanager
def service(folder: Path, model: Path, **variables: str) -> Iterator[Service]:
    """Start a replica; it is killed at the end if it still runs."""
    port = next(PORTS)
    env = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    env |= {"TIDEGATE_MODEL__PATH": str(model), "TIDEGATE_STACK__DATA_DIR": str(folder)} | variables
    process = subprocess.Popen(
        [sys.executable, "-m", "service", "--port", str(port)],
        cwd=ROOT,
        env=env,
        stderr=subprocess.PIPE,
    )
    try:
        yield Service(process, port, folder)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def flights() -> Artefact:
    folder = ROOT / "artefacts" / "flights"
    train_flights(folder)
    return load(folder)


@pytest.fixture(scope="module")
def samples(flights: Artefact) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (flights.path / SAMPLES).read_bytes().splitlines()]


@pytest.fixture(scope="module")
def running(flights: Artefact, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A replica that the tests share; it ends well."""
    with service(tmp_path_factory.mktemp("service"), flights.path) as found:
        until(lambda: found.ready() == 200, "ready")
        yield found
        assert found.stop() == 0


async def send_until_told(found: Service, body: bytes, told: asyncio.Event) -> list[int]:
    """Send one request after the other over a kept connection, as the gateway does, until told to stop."""
    statuses = []
    headers = {"content-type": "application/json"}
    async with httpx.AsyncClient(base_url=found.url, timeout=30) as client:
        while not told.is_set():
            statuses.append(
                (await client.post("/predict", content=body, headers=headers)).status_code
            )
    return statuses


async def check_health(found: Service, told: asyncio.Event) -> None:
    """Look at /ready twice a second, as the gateway does, and tell when it fails."""
    async with httpx.AsyncClient(base_url=found.url, timeout=5) as client:
        while (await client.get("/ready")).status_code == 200:  # noqa: ASYNC110 (it is what a gateway does)
            await asyncio.sleep(0.5)
    told.set()


def test_no_request_is_lost_when_a_replica_leaves_under_load(
    flights: Artefact, samples: list[dict[str, Any]], tmp_path: Path
) -> None:
    body = orjson.dumps({"instances": samples[:1]})
    device = {"TIDEGATE_DEVICE__SIMULATED": "true", "TIDEGATE_DEVICE__LIGHT_SECONDS": "0.05"}
    with service(tmp_path, flights.path, **device) as found:
        until(lambda: found.ready() == 200, "ready")

        async def load_and_leave() -> list[list[int]]:
            told = asyncio.Event()
            clients = [send_until_told(found, body, told) for _ in range(8)]
            checking = asyncio.create_task(check_health(found, told))
            working = asyncio.gather(*clients)
            await asyncio.sleep(0.7)
            found.process.send_signal(signal.SIGTERM)
            statuses = await asyncio.wait_for(working, 30)
            await checking
            return statuses

        answered = [status for statuses in asyncio.run(load_and_leave()) for status in statuses]
        assert found.process.wait(30) == 0
        assert found.ready() is None
        events = found.events()
    assert set(answered) == {200}
    assert len(answered) >= 8 * 2
    assert len(events) == len(answered)
    assert {event["event"]["outcome"] for event in events} == {"success"}


def test_requests_that_work_or_wait_when_the_door_closes_are_answered(
    flights: Artefact, samples: list[dict[str, Any]], tmp_path: Path
) -> None:
    body = {"instances": samples[:1], "work": "heavy"}
    device = {"TIDEGATE_DEVICE__SIMULATED": "true", "TIDEGATE_DEVICE__HEAVY_SECONDS": "1.5"}
    slots = {"TIDEGATE_SLOTS__PER_REPLICA": "1", "TIDEGATE_SLOTS__WAIT_SECONDS": "10"}
    with service(tmp_path, flights.path, **device, **slots) as found:
        until(lambda: found.ready() == 200, "ready")

        async def send_and_leave() -> list[httpx.Response]:
            async with httpx.AsyncClient(base_url=found.url, timeout=30) as client:
                sent = [asyncio.create_task(client.post("/predict", json=body)) for _ in range(3)]
                await asyncio.to_thread(
                    until, lambda: found.number("tidegate_slots_busy ") == 1, "a slot is busy"
                )
                found.process.send_signal(signal.SIGTERM)
                return await asyncio.gather(*sent)

        start = time.monotonic()
        answers = asyncio.run(send_and_leave())
        assert time.monotonic() - start > 4  # far beyond the grace of 1.2 s
        assert found.process.wait(30) == 0
    assert [answer.status_code for answer in answers] == [200] * 3
    assert answers[-1].headers["connection"] == "close"


def test_a_new_connection_is_answered_or_refused_but_never_broken(
    flights: Artefact, samples: list[dict[str, Any]], tmp_path: Path
) -> None:
    body = orjson.dumps({"instances": samples[:1]})
    request = (
        b"POST /predict HTTP/1.1\r\nHost: flights\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    ) + body

    async def hammer(port: int) -> int:
        answered = 0
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                return answered
            writer.write(request)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            answered += 1
            writer.close()

    with service(tmp_path, flights.path) as found:
        until(lambda: found.ready() == 200, "ready")

        async def hammer_and_leave() -> list[int]:
            clients = asyncio.gather(*(hammer(found.port) for _ in range(4)))
            await asyncio.sleep(0.2)
            found.process.send_signal(signal.SIGTERM)
            return await asyncio.wait_for(clients, 30)

        answered = asyncio.run(hammer_and_leave())
        assert found.process.wait(30) == 0
        assert len(found.events()) == sum(answered) > 100


def test_a_second_ctrl_c_does_not_wait(
    flights: Artefact, samples: list[dict[str, Any]], tmp_path: Path
) -> None:
    device = {"TIDEGATE_DEVICE__SIMULATED": "true", "TIDEGATE_DEVICE__LIGHT_SECONDS": "20"}
    with service(tmp_path, flights.path, **device) as found:
        until(lambda: found.ready() == 200, "ready")
        body = orjson.dumps({"instances": samples[:1]})
        with socket.create_connection(("127.0.0.1", found.port)) as client:
            client.sendall(
                b"POST /predict HTTP/1.1\r\nHost: flights\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n" % len(body) + body
            )
            found.process.send_signal(signal.SIGINT)
            until(lambda: found.ready() == 503, "draining")
            start = time.monotonic()
            found.stop(signal.SIGINT)
            assert time.monotonic() - start < 10


def test_a_signal_while_the_model_loads_ends_the_process(tmp_path: Path) -> None:
    slow = tmp_path / "slow.joblib"
    joblib.dump(RandomForestClassifier(50).fit(*load_wine(return_X_y=True)), slow)
    with service(tmp_path, slow) as found:
        until(lambda: found.ready() == 503, "alive, converting the model")
        assert found.stop() == 0
        until(lambda: not psutil.Process().children(recursive=True)[1:], "no process is left")


def test_a_replica_starts_in_little_time_and_without_what_only_training_needs(
    running: Service,
) -> None:
    process = psutil.Process(running.process.pid)
    times = process.cpu_times()
    mapped = {Path(mapping.path).name for mapping in process.memory_maps()}
    assert times.user + times.system < 3.0  # about 1 s on a quiet machine
    assert any(name.startswith("onnxruntime_pybind11_state") for name in mapped)
    libraries = " ".join(str(mapping.path) for mapping in process.memory_maps())
    for package in ("sklearn", "pandas", "scipy", "joblib", "skl2onnx"):
        assert f"/{package}/" not in libraries


def test_serving_imports_nothing_that_only_training_needs() -> None:
    code = (
        "import sys, service.server, service.__main__\n"
        "needless = {'sklearn', 'pandas', 'joblib', 'scipy', 'onnx', 'skl2onnx'}\n"
        "sys.exit(', '.join(needless & sys.modules.keys()) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_model_that_is_not_there_ends_the_process_and_says_so(tmp_path: Path) -> None:
    with service(tmp_path, tmp_path / "nowhere") as found:
        _, errors = found.process.communicate(timeout=30)
    assert found.process.returncode == 1
    assert b"there is no model at" in errors
    assert b"tidegate train" in errors


def test_a_changed_model_file_ends_the_process_and_is_named(
    flights: Artefact, tmp_path: Path
) -> None:
    folder = tmp_path / "changed"
    folder.mkdir()
    for file in flights.path.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "reference.json").write_text("{}")
    with service(tmp_path, folder) as found:
        _, errors = found.process.communicate(timeout=30)
    assert found.process.returncode == 1
    assert b"reference.json is not the file that manifest.json names" in errors


def test_any_joblib_classifier_is_served_under_its_own_names(tmp_path: Path) -> None:
    data = load_wine(as_frame=True)
    forest = RandomForestClassifier(20, random_state=0)
    forest.fit(data.data, data.target_names[data.target])
    file = tmp_path / "wine.joblib"
    joblib.dump(forest, file)
    rows = data.data.iloc[::9]
    with service(tmp_path, file) as found:
        until(lambda: found.ready() == 200, "converted and ready")
        answer = httpx.post(
            f"{found.url}/predict", json={"instances": rows.to_dict("records")}, timeout=10
        ).json()
        document = httpx.get(f"{found.url}/openapi.json").json()
        wrong = httpx.post(f"{found.url}/predict", json={"instances": [{"alcohol": "strong"}]})
        with triton.InferenceServerClient(f"127.0.0.1:{found.port}") as client:
            matrix = triton.InferInput("features", list(rows.shape), "FP32")
            matrix.set_data_from_numpy(rows.to_numpy(np.float32))
            labels = client.infer("wine", [matrix]).as_numpy("label")
        assert found.stop() == 0
    expected = forest.predict(rows).tolist()
    assert [row["label"] for row in answer["predictions"]] == expected
    assert [label.decode() for label in labels] == expected
    assert "proanthocyanins" in document["components"]["schemas"]["Instance"]["properties"]
    assert wrong.json()["detail"][0]["loc"] == ["body", "instances", 0, "alcohol"]


def inputs_for(metadata: dict[str, Any], rows: list[dict[str, Any]], *, binary: bool) -> list[Any]:
    """Inputs made from nothing but the model's metadata."""
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
    """Rows without missing values, which JSON tensors of numpy cannot carry."""
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
    plain = httpx.post(f"{running.url}/predict", json={"instances": rows}).json()["predictions"]
    labels = [getattr(x, "decode", lambda x=x: x)() for x in result.as_numpy("label")]
    assert labels == [row["label"] for row in plain]
    expected = [row["probability"] for row in plain]
    assert result.as_numpy("probability").tolist() == pytest.approx(expected, abs=1e-6)
    assert result.as_numpy("probabilities").shape == (50, 2)
    assert result.get_response()["id"] == "17"


def test_a_triton_client_may_leave_the_outputs_out(
    client: triton.InferenceServerClient, samples: list[dict[str, Any]]
) -> None:
    rows = complete(samples, 3)
    result = client.infer(
        "flights", inputs_for(client.get_model_metadata("flights"), rows, binary=True)
    )
    assert result.as_numpy("probabilities").sum(axis=1) == pytest.approx(1)


def test_a_triton_client_sees_the_server_and_its_model(
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


def test_a_triton_client_is_told_what_is_wrong(
    client: triton.InferenceServerClient, samples: list[dict[str, Any]]
) -> None:
    rows = complete(samples, 2)
    rows[1] = rows[1] | {"dest": "XXX"}
    inputs = inputs_for(client.get_model_metadata("flights"), rows, binary=True)
    with pytest.raises(
        triton.InferenceServerException, match=r"inputs\.1\.dest: 'XXX' is not known"
    ):
        client.infer("flights", inputs)
    with pytest.raises(triton.InferenceServerException, match="only the model flights"):
        client.infer("cats", inputs)


@pytest.mark.parametrize("document", ["docs/model.md", "README.md"])
def test_the_requests_in_the_documentation_work_as_they_stand(
    running: Service, document: str
) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    examples = re.findall(
        r"\$ curl (?:-i )?http://127\.0\.0\.1:8000(/\S+)(.*?)-d '(.*?)'\n", text, re.DOTALL
    )
    assert examples
    for path, options, body in examples:
        headers = dict(re.findall(r"-H '([^:']+): ([^']+)'", options))
        answer = httpx.post(running.url + path, content=body.encode(), headers=headers)
        assert answer.status_code == 200, answer.text


def test_the_triton_client_in_the_documentation_works_as_it_stands(running: Service) -> None:
    text = (ROOT / "docs" / "model.md").read_text(encoding="utf-8")
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
