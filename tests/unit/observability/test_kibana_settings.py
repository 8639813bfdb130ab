"""observability/kibana/kibana.yml, with its variables expanded as by Kibana.

elastic/kibana, src/platform/packages/shared/kbn-config/src/raw/utils.ts: `replaceEnvVarRefs`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.checkout import ROOT

REFERENCE = re.compile(r"\$\{(\w+)(?::(\w+))?\}")


def container_variables(**shell: str) -> dict[str, str]:
    """The variables of Kibana's container: those of Compose, and those that the start command sets."""
    done = subprocess.run(
        [Path(sys.executable).parent / "docker-compose", "config", "--format", "json"],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if not k.startswith("KIBANA_")} | shell,
        capture_output=True,
        text=True,
        check=True,
    )
    service = json.loads(done.stdout)["services"]["kibana"]
    secrets = re.findall(
        r"^(\w+)=\$+\(cat /run/secrets/\w+\)$", service["command"][-1], re.MULTILINE
    )
    return dict(service["environment"]) | dict.fromkeys(secrets, "x" * 32)


def expanded(variables: dict[str, str]) -> dict[str, Any]:
    """The settings; a variable without a value or a default is an error, and Kibana would not start."""
    text = (ROOT / "observability/kibana/kibana.yml").read_text("utf-8")
    found = REFERENCE.sub(lambda name: variables.get(name[1], name[2]) or variables[name[1]], text)
    return dict(yaml.safe_load(found))


@pytest.mark.parametrize(
    ("shell", "address"),
    [
        ({}, "http://127.0.0.1:5601"),
        ({"KIBANA_PORT": "5602"}, "http://127.0.0.1:5602"),
        ({"KIBANA_PUBLIC_URL": "https://kibana.example.org"}, "https://kibana.example.org"),
    ],
)
def test_compose_gives_kibana_each_variable_of_its_settings(
    shell: dict[str, str], address: str
) -> None:
    settings = expanded(container_variables(**shell))
    assert "${" not in json.dumps(settings)
    assert address in json.dumps(settings)
    keys = re.findall(r'"(?:[\w.]*\.)?encryptionKey": "(\w*)"', json.dumps(settings))
    assert [len(key) for key in keys] == [32] * 3
