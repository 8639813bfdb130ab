"""Rolling replacements and scale-ins in Kubernetes under load: no request may fail.

A cluster of one node with real containers (tests/support/kubernetes), the chart without an autoscaler, and
a constant load through its gateway. The model's Deployment is restarted, which replaces each pod, and
scaled in and out, by turns, until `--count` pods were replaced or taken, or `--minutes` have passed; then
the gateway is restarted some times. Counts the pods that the API server showed as ending. Exits with 1 if a
request got another answer than 200, or if the answers and their events in Elasticsearch are not the same
number. Needs root, the images of `scripts/docker images kubernetes` and `scripts/kubernetes images`, and the
model (`tidegate train`).

    python bench/kubernetes_replacements.py --count 200 --gateways 5
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[0] = str(ROOT)  # or bench/loadgen.py would hide the package
sys.path.insert(1, str(ROOT / "tests"))

from bench.running.pods import Pods  # noqa: E402
from bench.running.stack import constant_load  # noqa: E402
from support.eventually import eventually  # noqa: E402
from support.kubernetes import cluster as clusters  # noqa: E402
from support.kubernetes.cluster import Cluster  # noqa: E402
from support.kubernetes.faults.trace import Api, Repeated  # noqa: E402
from support.kubernetes.programs import missing  # noqa: E402
from support.kubernetes.release import (  # noqa: E402
    NAME,
    STORE_NAMESPACE,
    Release,
    Store,
    released,
    start_store,
)
from tidegate.loadgen.plan.scenario import Weights  # noqa: E402
from tidegate.loadgen.send.record import Recording  # noqa: E402

NAMESPACE: Final = "replacements"
SLOTS: Final = 2
# Long, so that few requests per second keep the slots of many pods busy: at the default rate half of those of
# the most pods, and four fifths of those of the least.
SERVICE_SECONDS: Final = 0.4
MOST, LEAST = 8, 5
STEP_SECONDS: Final = 300.0
EVENT_SECONDS: Final = 60.0
VALUES: Final[dict[str, Any]] = {
    "scaling": {"mode": "none"},
    "settings": {
        "device": {"light_seconds": SERVICE_SECONDS},
        "slots": {"per_replica": SLOTS},
        "replicas": {"start": MOST, "max": MOST},
    },
}


@dataclass
class Results:
    """What was done.

    Attributes:
        replaced: pods of the model that a rollout replaced.
        taken: those that a scale-in took.
        gateways: pods of the gateway that a rollout replaced.
        ending_seconds: how long each pod of the model took to end.
        worked: how many of them finished a request after their end was requested.
        load: the requests beside `replaced` and `taken`.
        gateway_load: those beside `gateways`.
        events: requests in Elasticsearch by status.
        again: requests that the gateway sent to a second replica.
    """

    replaced: int = 0
    taken: int = 0
    gateways: int = 0
    ending_seconds: list[float] = field(default_factory=list)
    worked: int = 0
    load: Recording | None = None
    gateway_load: Recording | None = None
    events: dict[int, int] = field(default_factory=dict)
    again: int = 0


@dataclass(frozen=True)
class Changes:
    """Changes to the pods of a release, each complete when its method returns.

    Attributes:
        release: the release.
        pods: those of the model.
        gateways: those of the gateway.
        results: counts them.
    """

    release: Release
    pods: Pods
    gateways: Pods
    results: Results

    def replace(self) -> None:
        """Replace each pod of the model."""
        self.results.replaced += self._ended(self.pods, lambda: self._restart(self.release.model))

    def take(self) -> None:
        """Scale in, and out again."""
        self.results.taken += self._ended(self.pods, lambda: self._scale(LEAST))
        self._scale(MOST)

    def replace_gateway(self) -> None:
        """Replace the gateway's pod, and wait until the old one is gone: it drains."""

        def restart() -> None:
            self._restart(f"{NAME}-tidegate-gateway")
            eventually(
                lambda: self.gateways.left() == 0, "the old gateway's end", seconds=STEP_SECONDS
            )

        self.results.gateways += self._ended(self.gateways, restart)

    def _ended(self, pods: Pods, change: Callable[[], None]) -> int:
        """How many pods a change ends."""
        before = len(pods.ended())
        change()
        # A rollout is complete before the API server was read again.
        time.sleep(1.0)
        return len(pods.ended()) - before

    def _restart(self, deployment: str) -> None:
        kubectl, namespace = self.release.kubectl, self.release.namespace
        kubectl.run("rollout", "restart", f"deployment/{deployment}", "-n", namespace)
        kubectl.rollout(deployment, namespace=namespace, seconds=STEP_SECONDS)

    def _scale(self, replicas: int) -> None:
        kubectl, release = self.release.kubectl, self.release
        kubectl.run(
            *("scale", f"deployment/{release.model}", "-n", release.namespace),
            f"--replicas={replicas}",
        )
        kubectl.rollout(release.model, namespace=release.namespace, seconds=STEP_SECONDS)


async def run(
    release: Release, plane_api: Callable[[], Api], options: argparse.Namespace
) -> Results:
    """Send the load and change the pods."""
    results = Results()
    with contextlib.ExitStack() as ending:
        model, gateways = (
            Pods(
                ending.enter_context(contextlib.closing(plane_api())),
                release.namespace,
                f"app.kubernetes.io/instance={NAME},app.kubernetes.io/component={component}",
            )
            for component in ("model", "gateway")
        )
        for pods in (model, gateways):
            thread = Repeated("pods", pods.read)
            thread.start()
            ending.callback(thread.stop)
        changes = Changes(release, model, gateways, results)
        kinds = Weights(light=1)
        async with constant_load(release.gateway, options.rate, kinds) as results.load:
            latest = time.monotonic() + 60 * options.minutes
            while results.replaced + results.taken < options.count and time.monotonic() < latest:
                # By turns, so that both are spread over the whole time.
                replaces = results.replaced <= results.taken
                await asyncio.to_thread(changes.replace if replaces else changes.take)
                print(
                    f"{results.replaced} replaced, {results.taken} taken,"
                    f" {int(results.load.failed.sum())} requests failed",
                    file=sys.stderr,
                )
        async with constant_load(release.gateway, options.rate, kinds) as results.gateway_load:
            while results.gateways < options.gateways:
                await asyncio.to_thread(changes.replace_gateway)
        await asyncio.to_thread(
            lambda: eventually(
                lambda: model.left() == 0, "the end of all pods", seconds=STEP_SECONDS
            )
        )
        ended = model.ended()
    results.ending_seconds = [
        one.gone_at - one.deleted_at for one in ended if one.gone_at and one.deleted_at
    ]
    answered = sum(int((one.status == 200).sum()) for one in recordings(results))
    with contextlib.suppress(AssertionError):  # the report says it
        eventually(
            lambda: release.store.requests(NAMESPACE).get(200, 0) >= answered,
            "an event of every answer",
            seconds=EVENT_SECONDS,
            every=1.0,
        )
    results.events = release.store.requests(NAMESPACE)
    last = last_requests(release.store)
    results.worked = sum(
        last.get(one.name, 0.0) > one.deleted_at + 1.0 for one in ended if one.deleted_at
    )
    results.again = sent_again(release.store)
    return results


def last_requests(store: Store) -> dict[str, float]:
    """When the last request of each pod ended, in seconds since 1970."""
    latest = {"latest": {"max": {"field": "@timestamp"}}}
    by_pod = {"terms": {"field": "service.node.name", "size": 10_000}, "aggs": latest}
    with store.client() as client:
        found = client.search(
            index=f"logs-tidegate.request-{NAMESPACE}", size=0, aggs={"pod": by_pod}
        )
    buckets = found["aggregations"]["pod"]["buckets"]
    return {one["key"]: float(one["latest"]["value"]) / 1000 for one in buckets}


def sent_again(store: Store) -> int:
    """How many requests the gateway sent to a second replica, as it recorded them."""
    query = {"range": {"tidegate.gateway.retries": {"gt": 0}}}
    with store.client() as client:
        index = f"logs-tidegate.access-{NAMESPACE}"  # it is missing if every request ended well
        return int(client.count(index=index, query=query, ignore_unavailable=True)["count"])


def recordings(results: Results) -> list[Recording]:
    """Those that were made."""
    return [one for one in (results.load, results.gateway_load) if one is not None]


def report(results: Results) -> int:
    """Print the results; returns the exit code."""
    ends = results.ending_seconds
    print(f"pods replaced     {results.replaced}")
    print(f"pods taken        {results.taken}")
    print(f"  at work         {results.worked}")
    print(
        f"  time to end     {statistics.median(ends):.1f} s, worst {max(ends):.1f} s"
        if ends
        else "  none ended"
    )
    for title, each in (("", results.load), (" beside the gateway's", results.gateway_load)):
        if each is None or not each.was_sent.any():
            continue
        late = float(np.quantile(each.lag[each.was_sent], 0.99))
        slow = float(np.quantile(each.response[each.answered], 0.99))
        if title:
            print(f"gateways replaced {results.gateways}")
        print(
            f"requests sent     {int(each.was_sent.sum())}, late by {1000 * late:.0f} ms (p99)\n"
            f"  answered 200    {int((each.status == 200).sum())}, within {slow:.1f} s (p99)\n"
            f"  failed          {int(each.failed.sum())}"
        )
        for error, times in each.errors().items():
            print(f"    {times} times: {error}")
    answered = sum(int((one.status == 200).sum()) for one in recordings(results))
    print(f"events of answers {results.events.get(200, 0)} of {answered}")
    others = {status: count for status, count in results.events.items() if status != 200}
    print(f"sent again        {results.again}, of other status in a replica: {others or 'none'}")
    sent = sum(int(one.was_sent.sum()) for one in recordings(results))
    return 0 if sent == answered == results.events.get(200, 0) else 1


def main() -> int:
    """Run and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="pods, half of them replaced")
    parser.add_argument("--minutes", type=float, default=12.0, help="the last one begins before")
    parser.add_argument("--gateways", type=int, default=5, help="replacements of the gateway's pod")
    parser.add_argument("--rate", type=float, default=20.0, help="requests per second")
    parser.add_argument("--keep", type=Path, help="keep logs and data in this new folder")
    options = parser.parse_args()
    if absent := missing(*clusters.PROGRAMS):
        sys.exit(f"not built: {', '.join(absent)} (run `scripts/kubernetes build`)")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep.absolute() if options.keep else Path(temporary) / "cluster"
        folder.mkdir(parents=True)
        with clusters.running(folder, images=clusters.TIDEGATE) as cluster:
            began = time.monotonic()
            results = _measure(cluster, options)
            seconds = time.monotonic() - began
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores; "
        f"{options.rate:g} requests/s of {SERVICE_SECONDS:g} s (simulated device), {MOST} replicas"
        f" ({LEAST} after a scale-in) of {SLOTS} slots, {seconds:.0f} s in all"
    )
    return report(results)


def _measure(cluster: Cluster, options: argparse.Namespace) -> Results:
    store = start_store(cluster)
    cluster.kubectl().rollout("elasticsearch", namespace=STORE_NAMESPACE, seconds=STEP_SECONDS)
    with released(cluster, store, NAMESPACE, VALUES) as release:
        return asyncio.run(run(release, lambda: Api(cluster.control_plane), options))


if __name__ == "__main__":
    sys.exit(main())
