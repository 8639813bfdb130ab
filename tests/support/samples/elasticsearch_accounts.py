"""Users, roles and clients of an Elasticsearch with security."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from elasticsearch import Elasticsearch

from support.processes.elasticsearch_server import ElasticsearchServer
from tidegate.provision.elasticsearch.roles import ROLES
from tidegate.settings import Settings

Prepare = Callable[[ElasticsearchServer], Settings]
"""Writes the secrets that set up a server; returns the settings."""


def passwords(folder: Path, elastic: str) -> Path:
    """A folder of secrets as `tidegate secrets init` creates it."""
    folder.mkdir(exist_ok=True)
    names = ("kibana_system", *(role.secret for role in ROLES))
    for name in names:
        (folder / name).write_text(f"password-of-{name}\n")
    (folder / "elastic").write_text(elastic)
    return folder


def add_roles(server: ElasticsearchServer, text: str) -> None:
    """Add roles to the file realm."""
    with (server.folder / "config" / "roles.yml").open("a") as file:
        file.write(f"\n{text}")


def add_user(server: ElasticsearchServer, name: str, password: str, role: str) -> None:
    """Add a user to the file realm, which the server reads every 5 s."""
    change_users(server, "useradd", name, "-p", password, "-r", role)


def change_users(server: ElasticsearchServer, *arguments: str) -> None:
    """Run Elasticsearch's command for the users of the file realm."""
    config = server.folder / "config"
    pid = (server.folder / "pid").read_text().strip()
    environment = {
        "ES_PATH_CONF": str(config),
        "ES_JAVA_HOME": str(Path(f"/proc/{pid}/exe").readlink().parents[1]),
        "PATH": "/usr/bin:/bin",
    }
    program = server.folder / "home" / "bin" / "elasticsearch-users"
    done = subprocess.run(
        [program, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for path in config.iterdir():
        path.chmod(0o755 if path.is_dir() else 0o644)


def client_of(server: ElasticsearchServer, name: str, password: str) -> Elasticsearch:
    """A client with the credentials of a user."""
    return Elasticsearch(server.url, basic_auth=(name, password))


def superuser_client(server: ElasticsearchServer) -> Elasticsearch:
    """A client with the credentials of the superuser."""
    return client_of(server, "elastic", (server.folder / "password").read_text().strip())
