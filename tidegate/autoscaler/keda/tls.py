"""TLS of the port that KEDA asks on: a certificate of its own, and clients that need one as well."""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path
from typing import Final

import grpc

from tidegate.runtime.daemon import CannotStartError
from tidegate.settings import Autoscaler

PREFIX: Final = "autoscaler.external_scaler"


def server_credentials(settings: Autoscaler) -> grpc.ServerCredentials | None:
    """The credentials of the port; None without a certificate.

    The files are read for each connection, so a renewed certificate needs no restart.

    Raises:
        CannotStartError: a file cannot be read, or is none of these.
    """
    cert, key = settings.external_scaler_cert_file, settings.external_scaler_key_file
    authority = settings.external_scaler_client_ca_file
    if cert is None or key is None:
        return None
    _check(cert, key, authority)
    last = _read(cert, key, authority)

    def newest() -> grpc.ServerCertificateConfiguration:
        nonlocal last
        with suppress(OSError):  # they are just being replaced: the last ones stay in use
            last = _read(cert, key, authority)
        return last

    return grpc.dynamic_ssl_server_credentials(
        last, newest, require_client_authentication=authority is not None
    )


def _read(cert: Path, key: Path, authority: Path | None) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(key.read_bytes(), cert.read_bytes())], authority.read_bytes() if authority else None
    )


def _check(cert: Path, key: Path, authority: Path | None) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Without a password, OpenSSL asks for that of an encrypted key on the terminal.
        context.load_cert_chain(cert, key, password="")
    except OSError as error:  # an SSLError is one
        raise CannotStartError(
            f"{PREFIX}_cert_file, {PREFIX}_key_file: {cert} and {key} are no certificate and its key, without"
            f" a password: {error.strerror or error}"
        ) from error
    if authority is None:
        return
    try:
        context.load_verify_locations(authority)
    except OSError as error:
        raise CannotStartError(
            f"{PREFIX}_client_ca_file: {authority} is no certificate authority:"
            f" {error.strerror or error}"
        ) from error
