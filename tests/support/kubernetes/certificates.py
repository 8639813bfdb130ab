"""Certificates and kubeconfigs of one cluster, made by openssl; nothing of them outlives the cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from support.commands import output

DAYS: Final = 30
CURVE: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True)
class Authority:
    """A certificate authority: `NAME.crt` and `NAME.key` in a folder."""

    folder: Path
    name: str

    @classmethod
    def create(cls, folder: Path, name: str) -> Authority:
        folder.mkdir(parents=True, exist_ok=True)
        made = cls(folder, name)
        output(
            "openssl",
            *("req", "-x509", *CURVE, "-days", str(DAYS), "-subj", f"/CN={name}"),
            *("-keyout", made.key, "-out", made.certificate),
        )
        return made

    @property
    def certificate(self) -> str:
        return str(self.folder / f"{self.name}.crt")

    @property
    def key(self) -> str:
        return str(self.folder / f"{self.name}.key")

    def issue(
        self, name: str, subject: str, *, names: tuple[str, ...] = (), days: int = DAYS
    ) -> None:
        """Write `NAME.crt` and `NAME.key`, valid for these names (`DNS:…`, `IP:…`) and as a client.

        With -1 days it has expired.
        """
        extensions = "extendedKeyUsage=serverAuth,clientAuth\n"
        if names:
            extensions += f"subjectAltName={','.join(names)}\n"
        request = str(self.folder / f"{name}.csr")
        leaf = str(self.folder / f"{name}.crt")
        key = str(self.folder / f"{name}.key")
        output("openssl", "req", *CURVE, "-subj", subject, "-keyout", key, "-out", request)
        output(
            "openssl",
            *("x509", "-req", "-in", request, "-days", str(days), "-out", leaf),
            *("-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial"),
            *("-extfile", "/dev/stdin"),
            input=extensions,
        )


def signing_key(folder: Path) -> None:
    """The key pair of service account tokens: `service-accounts.key` and `.pub`."""
    private, public = (str(folder / f"service-accounts.{end}") for end in ("key", "pub"))
    output("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", private)
    output("openssl", "ec", "-in", private, "-pubout", "-out", public)


def kubeconfig(path: Path, *, server: str, authority: str, token: str) -> None:
    """Write the configuration with which one user reaches the API server."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "tests", "cluster": {"server": server, "certificate-authority": authority}}
        ],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "user"}}],
        "current-context": "tests",
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(document))
