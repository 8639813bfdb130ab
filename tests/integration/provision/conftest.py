"""A real Elasticsearch that keeps users itself, one that keeps them in files, and settings for either."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.checkout import ROOT
from support.components import unavailable
from support.elasticsearch_accounts import Prepare, add_roles, add_user
from support.elasticsearch_server import ElasticsearchServer, running
from tidegate.provision.elasticsearch.roles import ROLES, roles_yaml
from tidegate.settings import Settings, load

VERSION = "9.2.8"
JAVA = 21


def passwords(folder: Path, elastic: str) -> Path:
    """A folder of secrets as the one-shot has it."""
    folder.mkdir(exist_ok=True)
    names = ("kibana_system", *(role.secret for role in ROLES))
    for name in names:
        (folder / name).write_text(f"password-of-{name}\n")
    (folder / "elastic").write_text(elastic)
    return folder


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    """Settings and secrets for setting this server up."""

    def make(server: ElasticsearchServer) -> Settings:
        elastic = (server.folder / "password").read_text()
        folder = passwords(tmp_path / "secrets", elastic)
        return load(
            store={"elasticsearch": {"url": server.url}},
            provision={"secrets_dir": folder, "start_seconds": 60},
        )

    return make


@pytest.fixture(scope="module")
def native_elasticsearch(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ElasticsearchServer]:
    """One that keeps roles and users in an index of its own, as the full distribution does.

    The test distribution cannot make that index: its analyzer for e-mail addresses uses a tokenizer and
    filters of the module analysis-common, which is not in it ("Unknown filter type [pattern_capture]").
    Those are Lucene's, and Lucene is there whole: `Analysis.java` hands them on.
    """
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        subprocess.run([ROOT / "scripts" / "elasticsearch", "install"], check=False)
        home = _cache() / f"elasticsearch-{VERSION}"
        if not home.is_dir():
            unavailable("Elasticsearch could not be installed")
        ours = cache / home.name
        shutil.copytree(home, ours, copy_function=_link)
        _build(Path(__file__).with_name("Analysis.java"), ours, cache / "classes")
        patch.setenv("TIDEGATE_CACHE", str(cache))
        with running("--security") as server:
            yield server


@pytest.fixture(scope="module")
def filed_elasticsearch(
    guarded_elasticsearch: ElasticsearchServer,
) -> ElasticsearchServer:
    """One whose users are kept in files: ours, with the roles that `tidegate setup roles-file` prints."""
    server = guarded_elasticsearch
    add_roles(server, roles_yaml())
    for role in ROLES:
        add_user(server, role.name, f"password-of-{role.secret}", role.name)
    return server


def _cache() -> Path:
    return Path(os.environ.get("TIDEGATE_CACHE") or Path.home() / ".cache" / "tidegate")


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def _build(source: Path, home: Path, classes: Path) -> None:
    """Make the source a module of that Elasticsearch."""
    tools = _development_kit()
    _run(tools / "javac", *("--release", str(JAVA), "-cp", f"{home}/lib/*", "-d", classes, source))
    module = home / "modules" / "tidegate-analysis"
    module.mkdir()
    _run(tools / "jar", "cf", module / "analysis.jar", "-C", classes, ".")
    (module / "plugin-descriptor.properties").write_text(
        "name=tidegate-analysis\n"
        "description=What the index of users needs\n"
        "version=1\n"
        f"elasticsearch.version={VERSION}\n"
        f"java.version={JAVA}\n"
        "classname=tidegate.Analysis\n"
    )


def _development_kit() -> Path:
    """The folder of a javac that makes what this Elasticsearch can load."""
    homes = [os.environ.get("ES_JAVA_HOME"), os.environ.get("JAVA_HOME")]
    folders = [Path(home) for home in homes if home] + sorted(Path("/usr/lib/jvm").glob("*"))
    found = [
        folder / "bin" for folder in folders if _compiles_for(folder / "bin" / "javac") >= JAVA
    ]
    if not found:
        unavailable(f"no Java compiler of version {JAVA} or later: install a JDK")
    return found[0]


def _compiles_for(compiler: Path) -> int:
    if not compiler.is_file():
        return 0
    said = subprocess.run([compiler, "-version"], capture_output=True, text=True, check=False)
    version = re.search(r"javac (\d+)", said.stdout + said.stderr)
    return int(version[1]) if version else 0


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
