"""Real components that tests of every kind may ask for. Each is started once, when first asked for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from xdist.scheduler.loadfile import LoadFileScheduling

from support.checkout import ROOT
from support.components import examples, unavailable
from support.doubles.small_disk import CannotMountError, mounted
from support.kubernetes.control_plane import PROGRAMS, ControlPlane, running
from support.kubernetes.programs import skip_unless_built
from support.ports import free_port
from support.processes.elasticsearch_server import ElasticsearchServer, begin_run, end_run, lease
from tidegate.stack.prometheus import PrometheusError, prometheus_binary, promtool_binary

if TYPE_CHECKING:  # 0.4 s
    from playwright.sync_api import Browser, Page

    from tidegate.service.model.artefact import Artefact

# Started in the background by a shell, we ignore Ctrl-C, and so would every program that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Prometheus and promtool take a fifth less CPU time, for 70 MB each.
os.environ.setdefault("GOGC", "400")
# By itself hypothesis fails an example that takes 200 ms and draws others each time: on a busy machine a test
# would fail for no fault of the change that it stops. `--hypothesis-profile=explore` looks for new examples.
_UNTIMED = hypothesis_settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
hypothesis_settings.register_profile("explore", _UNTIMED)
# The same examples each time; at night as many as hypothesis tries by itself.
hypothesis_settings.register_profile(
    "same", _UNTIMED, derandomize=True, database=None, max_examples=examples(100)
)
hypothesis_settings.load_profile("same")

# Folders whose files go to one worker together. More whole stacks at a time would take the cores from each
# other, and what they show depends on time: two of them, which mostly wait, leave the cores half idle. So
# there are two groups of them, of about the same length in plain `make test`; ENGINES begin when those are
# about to end.
# Two files of provision use the same Elasticsearch with accounts, which takes 15 CPU-seconds to start.
# Those of kubernetes use the same control plane, which takes 600 MiB. Those on real nodes mostly wait: three
# clusters, for about the same time each.
ENGINES = "engines"
TOGETHER = {
    "tests/e2e/kubernetes/test_faults.py": "faults",
    "tests/e2e/kubernetes/test_scaling.py": "scaling in Kubernetes",
    "tests/e2e/kubernetes/": "Kubernetes",
    "tests/e2e/ray/": ENGINES,
    "tests/e2e/bentoml/": ENGINES,
    "tests/e2e/compose/": "stacks of Compose, models and the console",
    "tests/e2e/model/": "stacks of Compose, models and the console",
    "tests/e2e/test_console": "stacks of Compose, models and the console",
    "tests/e2e/": "other stacks",
    "tests/integration/stack/": "integration of the stack",
    "tests/integration/provision/": "provision",
    "tests/integration/kubernetes/": "kubernetes",
}

# When the tests of this folder begin, the two groups of whole stacks are about to end.
BEFORE = "tests/integration/prometheus/"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In CI the other engines' tests run among all others, late, so that few whole stacks run at a time."""
    engines = [item for item in items if group_of(item.nodeid) == ENGINES]
    others = [item for item in items if group_of(item.nodeid) != ENGINES]
    place = next(
        (n for n, item in enumerate(others) if item.nodeid.startswith(BEFORE)), len(others)
    )
    items[:] = [*others[:place], *engines, *others[place:]]


def group_of(nodeid: str) -> str | None:
    """The group of folders that a test belongs to."""
    return next((group for folder, group in TOGETHER.items() if nodeid.startswith(folder)), None)


class ByFile(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """A file's tests go to one worker, which so starts its components once; a few folders' too."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid) or str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Who of the workers runs what, if there are several (`-n`)."""
    return ByFile(config, log)


def pytest_configure(config: pytest.Config) -> None:
    """The process that starts the workers, or is the only one, also owns the shared servers."""
    if not hasattr(config, "workerinput"):
        begin_run()


def pytest_unconfigure(config: pytest.Config) -> None:
    """All workers have ended."""
    if not hasattr(config, "workerinput"):
        end_run()


@pytest.fixture(scope="session")
def prometheus_program() -> str:
    """The Prometheus that the stack would start."""
    return _installed(prometheus_binary)


@pytest.fixture(scope="session")
def promtool() -> Callable[..., None]:
    """Runs the promtool beside it, which must find no fault."""
    program = _installed(promtool_binary)

    def run(*arguments: str | Path) -> None:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    return run


def _installed(find: Callable[[], Path]) -> str:
    try:
        return str(find())
    except PrometheusError as error:
        unavailable(str(error))


@pytest.fixture(scope="session")
def unused_tcp_port_factory() -> Callable[[], int]:
    """In the place of pytest-asyncio's, whose ports are of the kernel's own range: before one is listened on,
    any connection on this machine may begin at it.
    """
    return free_port


@pytest.fixture
def unused_tcp_port() -> int:
    """One of those."""
    return free_port()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real browser, which takes a second of CPU time to start."""
    from support.browser import running_browser

    with running_browser() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of it."""
    from support.browser import new_page

    with new_page(browser) as page:
        yield page


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB that a test may fill."""
    try:
        with mounted(tmp_path / "disk", 2**20) as folder:
            yield folder
    except CannotMountError as error:
        unavailable(f"a tmpfs cannot be mounted (that takes root with CAP_SYS_ADMIN): {error}")


@pytest.fixture(scope="session")
def artefact() -> Path:
    """The flight model's artefact, trained once for this checkout."""
    folder = ROOT / "artefacts" / "flights"
    done = subprocess.run(
        [sys.executable, "-m", "tidegate", "train", "--out", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="session")
def flights(artefact: Path) -> Artefact:
    """The flight model."""
    from tidegate.service.model.artefact import load

    return load(artefact)


@pytest.fixture(scope="session")
def samples(flights: Artefact) -> list[dict[str, Any]]:
    """Rows for the flight model."""
    rows = (flights.path / "samples.ndjson").read_text().splitlines()
    return [json.loads(row) for row in rows]


@pytest.fixture(scope="module")
def elasticsearch_server() -> Iterator[ElasticsearchServer]:
    """A real Elasticsearch that a module has to itself. A test that stops it must start it again."""
    with lease(exclusive=True) as server:
        yield server


@pytest.fixture(scope="module")
def elasticsearch_url() -> Iterator[str]:
    """Where a real Elasticsearch is that other modules use, too, each with namespaces of its own."""
    with lease(exclusive=False) as server:
        yield server.url


@pytest.fixture(scope="module")
def guarded_elasticsearch() -> Iterator[ElasticsearchServer]:
    """One that asks for a password (it is in `folder/password`) and takes requests up to 1 MB.

    A module has it to itself; accounts that another module added may be there.
    """
    with lease("--security", "--setting", "http.max_content_length: 1mb", exclusive=True) as server:
        yield server


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A real Kubernetes API server with its controllers and no node, for tests/integration/kubernetes."""
    skip_unless_built(*PROGRAMS)
    with running(tmp_path_factory.mktemp("control-plane")) as plane:
        yield plane
