"""observability/kibana/kibana.yml, with its variables expanded as by Kibana.

The rules are from elastic/kibana: src/platform/packages/shared/kbn-config/src/raw/utils.ts
(`replaceEnvVarRefs`, which read_config.ts applies to each text of the file) and
src/core/packages/http/server-internal/src/http_config.ts (`publicBaseUrl`).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

ROOT = Path(__file__).parents[3]
REFERENCE = re.compile(r"\$\{(\w+)(:(\w+))?\}")
KEY_SETTING = re.compile(r"xpack\.(security|encryptedSavedObjects|reporting)\.encryptionKey")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """The text with its references replaced.

    Raises:
        KeyError: Kibana would not start.
    """

    def value(match: re.Match[str]) -> str:
        name, _, default = match.groups()
        return variables[name] if default is None else variables.get(name, default)

    return REFERENCE.sub(value, text)


def kibana_settings(variables: Mapping[str, str]) -> dict[str, Any]:
    """The settings of kibana.yml by their dotted names, expanded."""
    content = yaml.safe_load((ROOT / "observability/kibana/kibana.yml").read_text("utf-8"))

    def flat(value: Any, name: str) -> Iterator[tuple[str, Any]]:
        if isinstance(value, dict):
            for key, each in value.items():
                yield from flat(each, f"{name}.{key}" if name else key)
        elif isinstance(value, list):
            texts = [expand(one, variables) if isinstance(one, str) else one for one in value]
            yield name, texts
        else:
            yield name, expand(value, variables) if isinstance(value, str) else value

    return dict(flat(content, ""))


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


@pytest.mark.parametrize(
    ("shell", "address"),
    [
        ({}, "http://127.0.0.1:5601"),
        ({"KIBANA_PORT": "5602"}, "http://127.0.0.1:5602"),
        ({"KIBANA_PUBLIC_URL": "https://kibana.example.org"}, "https://kibana.example.org"),
    ],
)
def test_kibana_accepts_its_settings(shell: dict[str, str], address: str) -> None:
    settings = kibana_settings(container_variables(**shell))
    unexpanded = {name: text for name, text in settings.items() if "${" in str(text)}
    assert unexpanded == {}
    assert settings["server.publicBaseUrl"] == address
    urls = {"server.publicBaseUrl": address}
    urls |= {f"elasticsearch.hosts[{n}]": u for n, u in enumerate(settings["elasticsearch.hosts"])}
    for name, url in urls.items():
        parts = urlsplit(url)
        assert parts.scheme in {"http", "https"}, name
        assert parts.hostname, name
        # Without server.basePath, publicBaseUrl has no path, and never a query, a fragment or a login.
        assert (parts.path, parts.query, parts.fragment, parts.username) == ("", "", "", None), name
        assert parts.port is None or 0 < parts.port < 65536, name
    keys = [text for name, text in settings.items() if KEY_SETTING.fullmatch(name)]
    assert len(keys) == 3
    assert all(len(key) >= 32 for key in keys)
