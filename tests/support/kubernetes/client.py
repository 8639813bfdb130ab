"""kubectl and helm, as a person uses them."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from support import commands
from support.kubernetes.programs import program


@dataclass(frozen=True)
class Kubectl:
    """The command, with the rights of one kubeconfig."""

    kubeconfig: Path

    def call(
        self, *arguments: str, text: str | None = None, seconds: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run `kubectl …` with this text as standard input."""
        return self._run("kubectl", arguments, text, seconds)

    def run(self, *arguments: str, text: str | None = None, seconds: float = 60) -> str:
        """Run `kubectl …`, which must succeed; returns its output."""
        return _output(self.call(*arguments, text=text, seconds=seconds))

    def succeeds(self, *arguments: str) -> bool:
        return self.call(*arguments).returncode == 0

    def get(self, *arguments: str) -> Any:
        """The object, or the list, that `kubectl get … -o json` prints."""
        return json.loads(self.run("get", *arguments, "-o", "json"))

    def items(self, *arguments: str) -> list[Any]:
        """The objects of a list."""
        return list(self.get(*arguments)["items"])

    def apply(self, *documents: dict[str, Any] | str, namespace: str = "") -> None:
        """Create or change objects, given as mappings or as YAML text, by default in their own namespaces."""
        text = "\n---\n".join(
            one if isinstance(one, str) else yaml.safe_dump(one) for one in documents
        )
        chosen = ("-n", namespace) if namespace else ()
        self.run("apply", "--server-side", "--force-conflicts", *chosen, "-f", "-", text=text)

    def define(self, *files: Path) -> None:
        """Apply files of one CustomResourceDefinition each; returns when objects of them may be created."""
        for file in files:
            self.run("apply", "--server-side", "-f", str(file))
        for file in files:
            self.run("wait", "--for=condition=Established", "-f", str(file), "--timeout=60s")

    def rollout(self, deployment: str, *, namespace: str = "default", seconds: float = 120) -> None:
        """Wait until all pods of a Deployment are ready and of its newest revision."""
        self.run(
            *("rollout", "status", f"deployment/{deployment}", "-n", namespace),
            f"--timeout={seconds:g}s",
            seconds=seconds + 10,
        )

    def helm(self, *arguments: str, seconds: float = 300) -> str:
        """Run `helm …`, which must succeed; returns its output."""
        return _output(self._run("helm", arguments, None, seconds))

    def _run(
        self, name: str, arguments: tuple[str, ...], text: str | None, seconds: float
    ) -> subprocess.CompletedProcess[str]:
        return commands.run(
            program(name),
            *arguments,
            # No cache or configuration of the person who runs the tests.
            env=os.environ
            | {"KUBECONFIG": str(self.kubeconfig), "HOME": str(self.kubeconfig.parent)},
            input=text,
            timeout=seconds,
        )


def _output(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, f"{' '.join(map(str, done.args))}: {done.stderr}{done.stdout}"
    return done.stdout
