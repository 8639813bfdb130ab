"""From the decision to add a replica until its first answer, by phase, in each mode.

    python -m bench.first_answer local zero             in this process; five minutes
    python -m bench.first_answer compose kubernetes     with the images of scripts/docker; the latter as root
    timeout --foreground -k 120 1200 python -m …        with a time limit: SIGTERM ends what was started, too

Rounds of an open loop of Poisson arrivals that becomes four times as high, under `sloq`; `zero` sends one
request to a stack without a replica. Of each round the new replica counts that answered first. The phases are
from events: of the decision, `ready` of the replica, and its requests. `container` is the time from the
decision until the fork of Python. What was measured is saved after each round.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from bench.engines.engine import free_ports  # noqa: E402
from bench.results import Result, result, save  # noqa: E402
from bench.running.stack import FIRST_PORT, ROWS, own_stack  # noqa: E402
from support.eventually import eventually, eventually_async  # noqa: E402
from support.kubernetes import cluster as clusters  # noqa: E402
from support.kubernetes import keda  # noqa: E402
from support.kubernetes.release import NAME, Release, Store, released  # noqa: E402
from support.processes.compose_project import docker  # noqa: E402
from support.processes.compose_stack import PUBLISHED, Compose, require_images  # noqa: E402
from support.processes.load import constant, load  # noqa: E402

Event = dict[str, Any]

# Four slots of 0.1 s: 12 a second need one replica, 50 two.
SECONDS_IN_SLOT: Final = 0.1
SLOTS: Final = 4
BEFORE_SECONDS: Final = 10
PHASES: Final = ", ".join((constant(BEFORE_SECONDS, 12), constant(15, 50)))
POLICY: Final = "sloq:down_seconds=20,coverage=0"
DOWN_SECONDS: Final = 240.0
TARGETS: Final = {"local": 0.8, "zero": 1.0, "compose": 2.0, "kubernetes": 4.0}
SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "device": {
        "simulated": True,
        **dict.fromkeys(("light_seconds", "medium_seconds", "heavy_seconds"), SECONDS_IN_SLOT),
    },
    "slots": {"per_replica": SLOTS},
    "autoscaler": {"policy": POLICY},
    "replicas": {"min": 1, "max": 3},
}
# Without Elasticsearch: events wait in their files.
SERVICES: Final = ("model", "gateway", "prometheus", "resizer", "autoscaler")


@dataclass(frozen=True, slots=True)
class Start:
    """The start of one replica: when it was decided, the seconds of each phase in their order, and why."""

    decided_at: float
    phases: dict[str, float]
    sentence: str
    sensed: float = 0.0
    """Seconds from the jump, or from the request, until the decision."""

    @property
    def seconds(self) -> float:
        """From the decision until the first answer."""
        return sum(self.phases.values())


def first_start(events: Iterable[Event], since: float) -> Start | None:
    """The start of the new replica that answered first, after the first decision since this Unix time."""
    events = sorted(events, key=_at)
    decided = next((one for one in events if _at(one) >= since and _adds(one)), None)
    if decided is None:
        return None
    begin = _at(decided)
    ready = {
        one["service"]["node"]["name"]: one
        for one in events
        if _at(one) >= begin and one["message"] == "ready" and "start_seconds" in one["tidegate"]
    }
    for one in events:
        found = ready.get(one["service"]["node"]["name"])
        if found is None or one["event"].get("dataset") != "tidegate.request":
            continue
        own, answer = found["tidegate"]["start_seconds"], _at(one) - _at(found)
        container = _at(found) - sum(own.values()) - begin
        # Not one that started already, nor what an earlier replica of this name answered.
        if min(container, answer) >= 0:
            phases = {"container": container, **own, "answer": answer}
            return Start(begin, phases, decided["message"])
    return None


def _at(event: Event) -> float:
    return datetime.fromisoformat(event["@timestamp"]).timestamp()


def _adds(event: Event) -> bool:
    decision = event.get("tidegate", {}).get("decision")
    return decision is not None and decision["desired"] > decision["previous"]


def parse(lines: Iterable[bytes]) -> list[Event]:
    """The events in these lines of event files; an incomplete one is still being written."""
    return [orjson.loads(line) for line in lines if line.endswith(b"}")]


async def local(rounds: int) -> AsyncGenerator[Start, None]:
    """Jumps on a stack in this process."""
    async with own_stack(0, **SETTINGS) as stack:
        url = f"http://127.0.0.1:{stack.settings.gateway.port}"
        logs = stack.settings.stack.data_dir / "logs"

        async def one_is_left() -> bool:
            status = stack.status()
            return (status.ready, len(status.replicas)) == (1, 1)

        for _ in range(rounds):
            await eventually_async(one_is_left, "one replica is left", DOWN_SECONDS)
            for start in await asyncio.to_thread(_jump, url, lambda: _files(logs)):
                yield start


async def zero(rounds: int) -> AsyncGenerator[Start, None]:
    """One request to a stack without a replica."""
    settings = {
        **SETTINGS,
        "replicas": {"min": 0, "start": 0, "max": 3},
        "autoscaler": {"policy": POLICY, "idle_seconds": 2},
    }
    async with own_stack(0, **settings) as stack:
        url = f"http://127.0.0.1:{stack.settings.gateway.port}/predict"
        logs = stack.settings.stack.data_dir / "logs"
        body = b'{"instances": [%s]}' % ROWS.read_bytes().splitlines()[0]

        async def none_is_left() -> bool:
            return not stack.status().replicas

        for _ in range(rounds):
            await eventually_async(none_is_left, "no replica is left", DOWN_SECONDS)
            began = time.time()
            await _post(url, body)
            for start in _found(began, await asyncio.to_thread(_files, logs)):
                yield start


async def _post(url: str, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession(raise_for_status=True) as session,
        session.post(url, data=body, headers=headers) as answer,
    ):
        await answer.read()


def _files(logs: Path) -> list[Event]:
    return parse(line for path in logs.glob("*.ndjson") for line in path.read_bytes().splitlines())


def _jump(url: str, read: Callable[[], list[Event]], *options: str) -> list[Start]:
    """Send one jump; the start of the replica that it needed."""
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as name:
        given = (url, "--rows", str(ROWS), *options)
        with load(Path(name), *given, phases=PHASES, arrivals="poisson") as sent:
            summary = sent.summary()
    print(f"  {summary['answered']} of {summary['planned']} answered", file=sys.stderr, flush=True)
    began = datetime.fromisoformat(summary["started_at"]).timestamp()
    return _found(began + BEFORE_SECONDS, read())


def _found(since: float, events: list[Event]) -> list[Start]:
    start = first_start(events, since)
    if start is None:
        print("  no replica was added, or none answered", file=sys.stderr, flush=True)
        return []
    start = replace(start, sensed=start.decided_at - since)
    shown = ", ".join(f"{phase} {seconds:.2f}" for phase, seconds in start.phases.items())
    print(f"  decided after {start.sensed:.2f} s, answered {start.seconds:.2f} s later: {shown}")
    print(f"  {start.sentence}", flush=True)
    return [start]


async def compose(rounds: int) -> AsyncGenerator[Start, None]:
    """Jumps on the containers of docker-compose.yml, without Elasticsearch and what needs it."""
    require_images()
    first = free_ports(FIRST_PORT)
    ports = {name: first + number for number, name in enumerate(PUBLISHED)}
    stack = Compose(f"tidegate-bench-{first}", ports)
    try:
        started = stack.call(
            *("up", "--detach", "--wait", "--no-build", *SERVICES), **_variables(SETTINGS)
        )
        if started.returncode:
            sys.exit(started.stderr)
        for _ in range(rounds):
            eventually(lambda: len(stack.replicas()) == 1, "one container is left", DOWN_SECONDS)
            for start in _jump(stack.url("GATEWAY"), lambda: _volume(stack)):
                yield start
    finally:
        stack.run("down", "--volumes", "--remove-orphans", "--timeout", "5")


def _variables(settings: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        f"TIDEGATE_{section}__{name}".upper(): str(value).lower()
        for section, values in settings.items()
        for name, value in values.items()
    }


def _volume(stack: Compose) -> list[Event]:
    volume = ("run", "--rm", "-v", f"{stack.project}_logs:/logs:ro", "tidegate/base:bookworm")
    return parse(docker(*volume, "sh", "-c", "cat /logs/*.ndjson").encode().splitlines())


async def kubernetes(rounds: int) -> AsyncGenerator[Start, None]:
    """Jumps on pods of the chart, in a cluster of one node that has the images."""
    with tempfile.TemporaryDirectory() as name, _release(Path(name) / "cluster") as release:
        for _ in range(rounds):
            release.wait_for_replicas(1, 1, seconds=DOWN_SECONDS)
            eventually(lambda: len(release.pods()) == 1, "one pod is left", DOWN_SECONDS)
            for start in _jump(release.gateway, lambda: list(_pods(release)), "--allow-remote"):
                yield start


@contextmanager
def _release(folder: Path) -> Iterator[Release]:
    folder.mkdir()
    # Those of the tests, whose import, a minute or two, is then that of this.
    with clusters.running(folder, images=clusters.TIDEGATE + keda.IMAGES) as cluster:
        store = Store("", dict.fromkeys(("elastic", "writer", "reader", "viewer"), "none"))
        values = {"settings": SETTINGS, "scaling": {"mode": "resizer"}}
        with released(cluster, store, "bench", values, wait=False) as release:
            for part in ("model", "gateway", "prometheus", "resizer", "autoscaler"):
                name = f"{NAME}-tidegate-{part}"
                release.kubectl.rollout(name, namespace=release.namespace)
            yield release


def _pods(release: Release) -> Iterator[Event]:
    for component in ("model", "autoscaler"):
        for pod in release.pods(component):
            words = ("exec", pod, "-c", component, "-n", release.namespace, "--", "sh", "-c")
            done = release.kubectl.call(*words, "cat /var/lib/tidegate/logs/*.ndjson")
            yield from parse(done.stdout.encode().splitlines())


def results_of(mode: str, starts: list[Start]) -> Iterator[Result]:
    """The whole start, and each phase; from zero with the time until the decision."""
    sensed = [start.sensed for start in starts]
    whole = [start.seconds for start in starts]
    if mode == "zero":
        name = "zero: the request until the first answer"
        both = [one + two for one, two in zip(sensed, whole, strict=True)]
        yield result(name, both, unit="s", target=TARGETS[mode])
    else:
        name = f"{mode}: the decision until the first answer"
        yield result(name, whole, unit="s", target=TARGETS[mode])
    yield result(f"{mode}: until the decision", sensed, unit="s")
    for phase in starts[0].phases:
        yield result(f"{mode}: {phase}", [one.phases.get(phase, 0.0) for one in starts], unit="s")


MODES: Final[dict[str, Callable[[int], AsyncGenerator[Start, None]]]] = {
    one.__name__: one for one in (local, zero, compose, kubernetes)
}


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("modes", nargs="+", choices=list(MODES))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    for mode in options.modes:
        print(f"{mode}:", file=sys.stderr, flush=True)
        asyncio.run(_measure(mode, options.rounds))


async def _measure(mode: str, rounds: int) -> None:
    starts: list[Start] = []
    async with aclosing(MODES[mode](rounds)) as found:
        async for start in found:
            starts.append(start)
            save(f"first_answer_{mode}", list(results_of(mode, starts)))


if __name__ == "__main__":
    main()
