"""How soon a new pod is used in Kubernetes: from its first ready answer to its first request, and from zero.

A cluster of one node with real containers (tests/support/kubernetes), whose DNS server keeps answers for
30 s as that of kubeadm does, and the chart. `--runs` times each: one request is sent while no replica runs;
and a second replica is added while clients keep the first one busy. Needs root, the images of `scripts/docker
images kubernetes` and `scripts/kubernetes images`, and the model (`tidegate train`).

    python bench/kubernetes_first_answer.py --runs 3
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[1]
sys.path[0] = str(ROOT)  # or bench/loadgen.py would hide the package
sys.path.insert(1, str(ROOT / "tests"))

from support.eventually import eventually  # noqa: E402
from support.kubernetes import cluster as clusters  # noqa: E402
from support.kubernetes.programs import missing  # noqa: E402
from support.kubernetes.release import NAME, Release, released, start_store  # noqa: E402

NAMESPACE: Final = "answers"
VALUES: Final[dict[str, Any]] = {
    "scaling": {"mode": "resizer"},
    "settings": {"replicas": {"min": 0}},
}
CLIENTS: Final = 6  # each sends the next request after a response; a replica has two slots
SECONDS: Final = 180.0
EVERY_SECONDS: Final = 0.02


def from_zero(release: Release) -> tuple[float, float]:
    """Seconds from sending a request to its response, and from the first ready answer of the pod to it."""
    release.wait_for_replicas(0, 0, seconds=SECONDS)
    eventually(lambda: not release.pods(), "the end of the last replica", seconds=SECONDS)
    with ThreadPoolExecutor(1) as pool:
        began, ready = time.monotonic(), pool.submit(ready_at, release, frozenset())
        assert release.predict(seconds=SECONDS) == 200
        return time.monotonic() - began, time.monotonic() - ready.result()


def from_one(release: Release) -> float:
    """Seconds from the first ready answer of a second pod to its first response through the gateway."""
    scale(release, release.model, 1)
    eventually(lambda: len(release.pods()) == 1, "one replica", seconds=SECONDS)
    assert release.predict(seconds=SECONDS) == 200
    (gateway,) = release.pods("gateway").values()
    before = answers(gateway)
    assert release.predict(seconds=SECONDS) == 200
    (first,) = (server for server, number in answers(gateway).items() if number > before[server])
    known = frozenset(release.pods())
    with ThreadPoolExecutor(1) as pool, busy(release):
        ready = pool.submit(ready_at, release, known)
        scale(release, release.model, 2)

        def used() -> bool:
            found = answers(gateway)
            return any(found[one] > before[one] for one in found if one != first)

        eventually(used, "the second replica answers", seconds=SECONDS, every=EVERY_SECONDS)
        return time.monotonic() - ready.result()


def ready_at(release: Release, known: frozenset[str]) -> float:
    """When a pod that is not one of these is ready, on the monotonic clock."""

    def new() -> str:
        return next((ip for name, ip in release.pods().items() if name not in known and ip), "")

    address = eventually(new, "a new pod", seconds=SECONDS, every=EVERY_SECONDS)
    eventually(lambda: is_ready(address), "it is ready", seconds=SECONDS, every=EVERY_SECONDS)
    return time.monotonic()


def is_ready(address: str) -> bool:
    """Whether a pod of the model answers its probe."""
    try:
        with urllib.request.urlopen(f"http://{address}:8000/ready", timeout=1) as response:
            return int(response.status) == 200
    except OSError:
        return False


def answers(gateway: str) -> dict[str, float]:
    """How many successful responses each server of the gateway has given."""
    with urllib.request.urlopen(f"http://{gateway}:8405/metrics", timeout=10) as response:
        families = text_string_to_metric_families(response.read().decode())
    return {
        sample.labels["server"]: sample.value
        for family in families
        for sample in family.samples
        if sample.name == "haproxy_server_http_responses_total"
        and sample.labels["code"] == "2xx"
        and sample.labels["server"] != "waiting"
    }


@contextmanager
def busy(release: Release) -> Iterator[None]:
    """Clients that send one request after the other."""
    ended = threading.Event()

    def send() -> None:
        while not ended.is_set():
            release.predict(seconds=SECONDS)

    with ThreadPoolExecutor(CLIENTS) as pool:
        sending = [pool.submit(send) for _ in range(CLIENTS)]
        try:
            yield
        finally:
            ended.set()
        for one in sending:
            one.result()


def scale(release: Release, deployment: str, replicas: int) -> None:
    """Set the number of pods of a Deployment."""
    release.kubectl.run(
        *("scale", f"deployment/{deployment}", f"--replicas={replicas}", "-n", release.namespace)
    )


def report(release: Release, runs: int) -> None:
    """Measure and print."""
    zero = [from_zero(release) for _ in range(runs)]
    print(f"first answer from zero                     {listed(one for one, _ in zero)}")
    print(f"  of it after the pod was ready            {listed(one for _, one in zero)}")
    # Nobody else sets the number of replicas from here.
    for component in ("autoscaler", "resizer"):
        scale(release, f"{NAME}-tidegate-{component}", 0)
        eventually(lambda name=component: not release.pods(name), "its end", seconds=SECONDS)  # type: ignore[misc]
    print(
        f"second pod: from ready to its first answer {listed(from_one(release) for _ in range(runs))}"
    )


def listed(values: Iterator[float]) -> str:
    """Seconds, smallest first."""
    return ", ".join(f"{one:.1f}" for one in sorted(values)) + " s"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    if absent := missing(*clusters.PROGRAMS):
        sys.exit(f"not built: {', '.join(absent)} (run `scripts/kubernetes build`)")
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores, DNS of 30 s"
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        clusters.running(Path(folder) / "cluster", images=clusters.TIDEGATE) as cluster,
        released(cluster, start_store(cluster), NAMESPACE, VALUES) as release,
    ):
        report(release, options.runs)


if __name__ == "__main__":
    main()
