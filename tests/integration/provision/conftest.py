"""A real Elasticsearch with a native realm, one with a file realm, and settings for both."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from support.checkout import ROOT
from support.commands import output, run
from support.components import unavailable
from support.eventually import eventually
from support.processes.elasticsearch_server import ElasticsearchServer, lease, running
from support.samples.elasticsearch_accounts import (
    Prepare,
    add_roles,
    add_user,
    passwords,
    superuser_client,
)
from tidegate.provision.elasticsearch.accounts import can_log_in
from tidegate.provision.elasticsearch.roles import ROLES, roles_yaml
from tidegate.settings import Settings, load

VERSION = "9.2.8"
JAVA = 21


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    """Writes the secrets and returns the settings that set up a server."""

    def make(server: ElasticsearchServer) -> Settings:
        elastic = (server.folder / "password").read_text()
        folder = passwords(tmp_path / "secrets", elastic)
        return load(
            store={"elasticsearch": {"url": server.url}},
            provision={"secrets_dir": folder, "start_seconds": 60},
        )

    return make


@pytest.fixture(scope="module")
def native_realm_elasticsearch(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ElasticsearchServer]:
    """A server that stores roles and users in an index, as the full distribution does.

    The test distribution cannot create that index: its analyzer for e-mail addresses uses a tokenizer and
    filters of the module analysis-common, which it lacks ("Unknown filter type [pattern_capture]"). They
    are part of Lucene, which is complete: `Analysis.java` registers them.
    """
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        subprocess.run([ROOT / "scripts" / "elasticsearch", "install"], check=False)
        home = _cache() / f"elasticsearch-{VERSION}"
        if not home.is_dir():
            unavailable("Elasticsearch could not be installed")
        copy = cache / home.name
        shutil.copytree(home, copy, copy_function=_link)
        _build(Path(__file__).with_name("Analysis.java"), copy, cache / "classes")
        patch.setenv("TIDEGATE_CACHE", str(cache))
        with running("--security") as server:
            yield server


@pytest.fixture(scope="module")
def file_realm_elasticsearch() -> Iterator[ElasticsearchServer]:
    """A server with Tidegate's users in files, with the roles that `tidegate setup roles-file` prints.

    Its attribute keeps it apart from those of other tests, as these tests create streams with older mappings.
    """
    options = ("--security", "--setting", "node.attr.accounts: files")
    with lease(*options, exclusive=True) as server:
        if f"\n{ROLES[0].name}:" not in (server.folder / "config" / "roles.yml").read_text():
            add_roles(server, roles_yaml())
            for role in ROLES:
                add_user(server, role.name, f"password-of-{role.secret}", role.name)
        with superuser_client(server) as client:
            for role in ROLES:
                login = partial(can_log_in, client, role.name, f"password-of-{role.secret}")
                eventually(login, f"{role.name} can log in")
        yield server


def _cache() -> Path:
    return Path(os.environ.get("TIDEGATE_CACHE") or Path.home() / ".cache" / "tidegate")


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def _build(source: Path, home: Path, classes: Path) -> None:
    """Compile the source and install it as a module of that Elasticsearch."""
    tools = _development_kit()
    output(
        tools / "javac", *("--release", str(JAVA), "-cp", f"{home}/lib/*", "-d", classes, source)
    )
    module = home / "modules" / "tidegate-analysis"
    module.mkdir()
    output(tools / "jar", "cf", module / "analysis.jar", "-C", classes, ".")
    (module / "plugin-descriptor.properties").write_text(
        "name=tidegate-analysis\n"
        "description=Analyzers of the index of users\n"
        "version=1\n"
        f"elasticsearch.version={VERSION}\n"
        f"java.version={JAVA}\n"
        "classname=tidegate.Analysis\n"
    )


def _development_kit() -> Path:
    """The folder of a javac that compiles for this Elasticsearch."""
    homes = [os.environ.get("ES_JAVA_HOME"), os.environ.get("JAVA_HOME")]
    folders = [Path(home) for home in homes if home] + sorted(Path("/usr/lib/jvm").glob("*"))
    found = [
        folder / "bin" for folder in folders if _java_version(folder / "bin" / "javac") >= JAVA
    ]
    if not found:
        unavailable(f"no Java compiler of version {JAVA} or later: install a JDK")
    return found[0]


def _java_version(compiler: Path) -> int:
    if not compiler.is_file():
        return 0
    printed = run(compiler, "-version")
    version = re.search(r"javac (\d+)", printed.stdout + printed.stderr)
    return int(version[1]) if version else 0
