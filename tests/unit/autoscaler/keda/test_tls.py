"""The port that KEDA asks on, with TLS and client certificates made by openssl."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from support.harnesses.event_files import MemoryLog
from support.harnesses.keda_client import KedaClient, keda_client
from support.kubernetes.certificates import Authority
from support.ports import free_port
from tidegate.autoscaler.decided_number import DecidedNumber
from tidegate.autoscaler.keda.external_scaler import ExternalScaler
from tidegate.autoscaler.keda.run import external_scaler_server
from tidegate.autoscaler.keda.tls import server_credentials
from tidegate.autoscaler.types import Bounds
from tidegate.runtime.daemon import CannotStartError
from tidegate.settings import Autoscaler, SettingsError, load

if shutil.which("openssl") is None:
    pytest.skip("no openssl", allow_module_level=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    authority = Authority.create(tmp_path_factory.mktemp("tls"), "ca")
    for name in ("server", "keda", "renewed"):
        authority.issue(name, f"/CN={name}", names=("DNS:localhost", "IP:127.0.0.1"))
    Authority.create(authority.folder, "stranger").issue("other", "/CN=other")
    keys = [str(authority.folder / f"{name}.key") for name in ("server", "encrypted")]
    encrypt = ["openssl", "pkey", "-aes128", "-passout", "pass:x", "-in", keys[0], "-out", keys[1]]
    subprocess.run(encrypt, check=True)
    return authority


def autoscaler(authority: Authority, **more: str) -> Autoscaler:
    files = {
        "cert_file": "server.crt",
        "key_file": "server.key",
        "client_ca_file": "ca.crt",
        **more,
    }
    values = {f"external_scaler_{name}": authority.folder / file for name, file in files.items()}
    return load(autoscaler=values).autoscaler


@asynccontextmanager
async def served(settings: Autoscaler) -> AsyncIterator[int]:
    decided, port = DecidedNumber(Bounds(0, 9), 60.0), free_port()
    decided.update(3)
    log = MemoryLog("autoscaler").log
    scaler = ExternalScaler(decided, "model", "shop", log, lambda: False)
    credentials = server_credentials(settings)
    assert credentials
    async with external_scaler_server(scaler, "127.0.0.1", port, credentials):
        yield port


def client_credentials(authority: Authority, name: str = "") -> grpc.ChannelCredentials:
    folder = authority.folder
    own = (
        [(folder / f"{name}.{end}").read_bytes() for end in ("key", "crt")] if name else [None] * 2
    )
    return grpc.ssl_channel_credentials(Path(authority.certificate).read_bytes(), *own)


async def is_answered(keda: KedaClient) -> bool:
    try:
        return await keda.metrics() == 3
    except grpc.aio.AioRpcError as error:
        if error.code() != grpc.StatusCode.UNAVAILABLE:
            raise
        return False


@pytest.mark.parametrize(("name", "answered"), [("keda", True), ("other", False), ("", False)])
async def test_only_a_client_with_a_certificate_of_the_authority_is_answered(
    name: str, *, answered: bool, authority: Authority
) -> None:
    async with served(autoscaler(authority)) as port:
        credentials = client_credentials(authority, name)
        async with keda_client(port, "shop", "model", credentials) as keda:
            assert await is_answered(keda) is answered
        async with keda_client(port) as without_tls:
            assert not await is_answered(without_tls)


async def test_a_renewed_certificate_is_used_without_a_restart(
    authority: Authority, tmp_path: Path
) -> None:
    for end in ("crt", "key"):
        shutil.copy(authority.folder / f"other.{end}", tmp_path / f"own.{end}")
    settings = load(
        autoscaler={
            "external_scaler_cert_file": tmp_path / "own.crt",
            "external_scaler_key_file": tmp_path / "own.key",
        }
    ).autoscaler
    credentials = client_credentials(authority)
    async with served(settings) as port:
        async with keda_client(port, "shop", "model", credentials) as keda:
            assert not await is_answered(keda)  # the authority does not know it
        for end in ("crt", "key"):
            shutil.copy(authority.folder / f"renewed.{end}", tmp_path / f"own.{end}")
        async with keda_client(port, "shop", "model", credentials) as keda:
            assert await is_answered(keda)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"key_file": "keda.key"}, "external_scaler_cert_file, .* are no certificate and its key"),
        ({"cert_file": "none.crt"}, "are no certificate and its key, .*: No such file"),
        ({"key_file": "encrypted.key"}, "without a password"),
        ({"client_ca_file": "server.key"}, "external_scaler_client_ca_file: .* is no certificate"),
    ],
)
def test_files_that_cannot_work_stop_the_start(
    more: dict[str, str], message: str, authority: Authority
) -> None:
    with pytest.raises(CannotStartError, match=message):
        server_credentials(autoscaler(authority, **more))


@pytest.mark.parametrize("names", [("cert_file",), ("key_file",), ("client_ca_file",)])
def test_a_part_of_the_files_is_refused(names: tuple[str, ...]) -> None:
    values = {f"external_scaler_{name}": "x" for name in names}
    with pytest.raises(SettingsError, match="set both for TLS"):
        load(autoscaler=values)
