"""`tidegate secrets show`: reads a value from the volumes, or through the secrets container."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tidegate.observability_files.paths import project_folder
from tidegate.provision.errors import ProvisionError, reason
from tidegate.provision.secrets.inventory import CONSUMERS, SECRETS, Secret
from tidegate.provision.secrets.storage import SecretStorage


def listing() -> str:
    """The names and the purpose of each secret."""
    width = max(len(secret.name) for secret in SECRETS)
    return "\n".join(f"{secret.name:<{width}}  {secret.description}" for secret in SECRETS)


def read_value(name: str, folder: Path) -> str:
    """Read the value of a secret from the folder, or in the container of the secrets, which alone has it."""
    secret = _find(name)
    if folder.is_dir():
        return _from_storage(secret, SecretStorage(folder, CONSUMERS))
    return _from_container(secret, project_folder())


def _find(name: str) -> Secret:
    names = {secret.name: secret for secret in SECRETS}
    if name not in names:
        raise ProvisionError(f"unknown secret {name}; expected one of {', '.join(names)}")
    return names[name]


def _from_storage(secret: Secret, storage: SecretStorage) -> str:
    copies = (storage.read(consumer, secret.name) for consumer in secret.consumers)
    value = next((copy for copy in copies if copy), "")
    if not value:
        raise ProvisionError(f"{secret.name} does not exist yet: `docker compose up` creates it")
    return value


def _from_container(secret: Secret, project: Path) -> str:
    if not (project / "docker-compose.yml").is_file():
        raise ProvisionError(
            f"there is no docker-compose.yml in {project}: run this in the folder of the Compose project"
        )
    command = ["docker", "compose", "run", "--rm", "--no-deps", "-T", "secrets"]
    try:
        done = subprocess.run(
            [*command, "secrets", "show", secret.name],
            cwd=project,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise ProvisionError(
            f"docker cannot be run ({reason(error)}), but the secrets are in its volumes"
        ) from error
    if done.returncode != 0:
        last = (done.stderr.strip() or "no output").splitlines()[-1]
        raise ProvisionError(f"docker compose could not show {secret.name}: {last}")
    # An engine without buildx also prints the output of the build.
    return done.stdout.splitlines()[-1] if done.stdout else ""
