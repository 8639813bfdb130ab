"""The builds of docker-compose.yml and of an own application, by each builder that a machine may have.

The Dockerfile is a short one with the same targets: scripts/docker builds the real one, by the classic
builder.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.checkout import ROOT
from support.commands import run
from support.processes.compose_project import compose_program, docker
from tidegate.stack.prometheus import cache_folder

pytestmark = pytest.mark.integration

VERSION = ":0.1.0"
# The engine's first version whose BuildKit has what `additional_contexts` needs: 20.10 answers "unsupported
# frontend capability moby.buildkit.frontend.contexts".
NAMED_CONTEXTS = 23


PLUGINS = ("/usr/libexec/docker/cli-plugins", "/usr/lib/docker/cli-plugins")


def buildx() -> Path:
    """The plugin buildx: that of scripts/docker, or the machine's."""
    folders = (cache_folder() / "buildx" / "buildx", *(Path(p, "docker-buildx") for p in PLUGINS))
    for program in folders:
        if program.exists():
            return program
    # Not required by day in CI, where it would take five minutes to build: the stack must do without it.
    pytest.skip("buildx is missing: run `scripts/docker buildx` (minutes)")


class Checkout:
    """The Compose files with other tags, and a short Dockerfile."""

    def __init__(self, folder: Path, image: str) -> None:
        self.folder, self.tag = folder, ":" + image.rpartition(":")[2]
        stages = "".join(
            f"FROM {image} AS {target}\nLABEL target={target}\n"
            for target in ("loadgen", "tidegate", "service")
        )
        application = f"FROM tidegate/service{self.tag}\nLABEL application=desk\n"
        for name, text in {
            "docker-compose.yml": (ROOT / "docker-compose.yml").read_text(),
            "own.yml": (ROOT / "examples/own-app/compose.yml").read_text(),
            "observability/elasticsearch/watermarks.env": "",
            "Dockerfile": stages,
            "examples/own-app/Dockerfile": application,
        }.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(
                text.replace(VERSION, self.tag).replace("desk:1.0.0", f"desk{self.tag}")
            )

    def build(
        self, version: str, *files: str, env: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Build the images of these files, as `up` does."""
        options = [part for name in ("docker-compose.yml", *files) for part in ("-f", name)]
        return run(
            *(compose_program(version), *options, "--profile", "load", "build"),
            cwd=self.folder,
            env=os.environ | {"DOCKER_CONFIG": str(self.folder / "client")} | env,
        )

    def labels(self, name: str) -> dict[str, str]:
        """The labels of an image."""
        found = docker("image", "inspect", "--format", "{{json .Config.Labels}}", name + self.tag)
        return dict(json.loads(found))


@pytest.fixture
def checkout(tmp_path: Path, image: str) -> Iterator[Checkout]:
    checkout = Checkout(tmp_path, image)
    try:
        yield checkout
    finally:
        built = [f"tidegate/{name}" for name in ("service", "tidegate", "loadgen")] + ["desk"]
        docker("rmi", "--force", *(name + checkout.tag for name in built), check=False)


def plugin(checkout: Checkout) -> dict[str, str]:
    """A client with buildx."""
    plugins = checkout.folder / "client" / "cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / "docker-buildx").symlink_to(buildx())
    return {"DOCKER_BUILDKIT": "1"}


@pytest.mark.parametrize("builder", ["classic", "in Compose 2", "buildx"])
def test_the_stack_is_built_by_every_builder(checkout: Checkout, builder: str) -> None:
    env = plugin(checkout) if builder == "buildx" else {"DOCKER_BUILDKIT": "0"}
    if builder == "in Compose 2":
        env = {"DOCKER_BUILDKIT": "1", "COMPOSE_BAKE": "false"}
    done = checkout.build("2" if builder == "in Compose 2" else "5", env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("service", "tidegate", "loadgen"):
        assert checkout.labels(f"tidegate/{name}")["target"] == name


def test_an_own_application_is_built_on_the_base_of_the_same_build(
    checkout: Checkout, docker_engine: str
) -> None:
    if int(docker_engine.partition(".")[0]) < NAMED_CONTEXTS:
        pytest.skip(
            f"Docker {docker_engine} has no named contexts: they came with {NAMED_CONTEXTS}"
        )
    done = checkout.build("5", "own.yml", env=plugin(checkout))
    assert done.returncode == 0, done.stdout + done.stderr
    labels = checkout.labels("desk")
    assert (labels["target"], labels["application"]) == ("service", "desk")


def test_without_buildx_the_own_application_is_refused_with_the_reason(checkout: Checkout) -> None:
    done = checkout.build("5", "own.yml", env={"DOCKER_BUILDKIT": "0"})
    assert done.returncode != 0
    assert "additional contexts" in done.stderr
