"""`tidegate secrets show`: the value where the secrets lie; elsewhere, by way of their container."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tidegate.provision.problems import ProvisionError, reason
from tidegate.provision.secrets.inventory import CONSUMERS, SECRETS, Secret
from tidegate.provision.secrets.storage import Keep


def listing() -> str:
    """The names, and what each is for."""
    width = max(len(secret.name) for secret in SECRETS)
    return "\n".join(f"{secret.name:<{width}}  {secret.meaning}" for secret in SECRETS)


def value(name: str, folder: Path, project: Path) -> str:
    """A secret's value.

    Args:
        name: which.
        folder: where the secrets are in their container.
        project: the Compose project, asked where that folder is not.

    Raises:
        ProvisionError: there is no such secret, or it cannot be had here.
    """
    secret = _known(name)
    if folder.is_dir():
        return _held(secret, Keep(folder, CONSUMERS))
    return _asked(secret, project)


def _known(name: str) -> Secret:
    names = {secret.name: secret for secret in SECRETS}
    if name not in names:
        raise ProvisionError(f"there is no secret {name}; there are {', '.join(names)}")
    return names[name]


def _held(secret: Secret, keep: Keep) -> str:
    copies = (keep.read(consumer, secret.name) for consumer in secret.consumers)
    held = next((copy for copy in copies if copy), "")
    if not held:
        raise ProvisionError(f"{secret.name} has not been made: `docker compose up` makes it")
    return held


def _asked(secret: Secret, project: Path) -> str:
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
            f"docker cannot be run ({reason(error)}), and the secrets lie in its volumes"
        ) from error
    if done.returncode != 0:
        last = (done.stderr.strip() or "it says nothing").splitlines()[-1]
        raise ProvisionError(f"docker compose could not show {secret.name}: {last}")
    # An engine without buildx prints its build there, too.
    return done.stdout.splitlines()[-1] if done.stdout else ""
