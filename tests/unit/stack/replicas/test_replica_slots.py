"""The slots of all replicas: the order of the changes, and their result."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.components import examples
from support.eventually import eventually_async
from tidegate.resizer.contract import ResizeRefusedError
from tidegate.runtime.event_log import EventLog
from tidegate.runtime.slots_file import SlotsFile
from tidegate.settings import Replicas, load
from tidegate.stack.gateway.runtime_api import GatewayUnavailableError, RuntimeApi, RuntimeApiError
from tidegate.stack.processes.process_supervisor import ProcessSupervisor
from tidegate.stack.replicas.local_resizer import LocalResizer
from tidegate.stack.replicas.release import Release
from tidegate.stack.replicas.replica_pool import ReplicaPool
from tidegate.stack.replicas.replica_slots import SlotsController, slots_from_metrics

NO_GATEWAY = RuntimeApi(Path("/no/gateway"))


@dataclass
class FakeStack:
    """The limits of a gateway and the slots of replicas in memory, and the order of their changes.

    A `slow` replica does not follow its file yet; a `silent` one does not report its slots.
    """

    folder: Path
    limit_of: dict[int, int] = field(default_factory=lambda: {1: 2, 2: 2, 3: 2})
    replicas: dict[int, int] = field(default_factory=lambda: {1: 2, 2: 2})
    slow: set[int] = field(default_factory=set)
    silent: set[int] = field(default_factory=set)
    away: bool = False
    refusing: str = ""
    configured: int = 2
    attempts: int = 0
    broken: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.file = SlotsFile(self.folder / "slots", max_slots=8)

    async def limits(self) -> dict[int, int]:
        await asyncio.sleep(0)
        if self.away:
            raise GatewayUnavailableError("away")
        return dict(self.limit_of)

    async def set_limit(self, indexes: Iterable[int], slots: int) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise GatewayUnavailableError("away")
        self.attempts += 1
        if self.refusing:
            raise RuntimeApiError(self.refusing)
        for index in indexes:
            self.limit_of[index] = slots
            self.order.append(f"gateway {index}: {slots}")
        self.check()

    def write_config(self, slots: int) -> None:
        self.configured = slots
        self.order.append(f"configuration: {slots}")

    async def reported(self, index: int) -> int | None:
        await asyncio.sleep(0)
        if index not in self.replicas:
            return None
        file_slots, _ = self.file.read()
        if index not in self.slow and file_slots is not None and self.replicas[index] != file_slots:
            self.replicas[index] = file_slots
            self.order.append(f"replica {index}: {file_slots}")
            self.check()
        return None if index in self.silent else self.replicas[index]

    def check(self) -> None:
        """A replica must never get more requests than it has slots."""
        over = [n for n, slots in self.replicas.items() if self.limit_of[n] > slots]
        self.broken += [f"{n}: {self.limit_of} {self.replicas}" for n in over]

    def agrees(self, slots: int) -> bool:
        """Whether everything has this number of slots."""
        return {*self.limit_of.values(), *self.replicas.values(), self.configured} == {slots}

    def restart_gateway(self) -> None:
        """Restart the gateway with the written configuration."""
        self.limit_of = dict.fromkeys(self.limit_of, self.configured)
        self.check()

    def start(self, index: int) -> None:
        """Start a replica with the slots of its file."""
        self.replicas[index] = self.file.read()[0] or 2
        self.check()

    def controller(self, event_log: EventLog) -> SlotsController:
        controller = SlotsController(
            initial=2,
            file=self.file,
            gateway=self,  # type: ignore[arg-type]
            write_config=self.write_config,
            replicas=lambda: self.replicas,
            reported=self.reported,
            event_log=event_log,
        )
        controller.write_initial()
        return controller


@asynccontextmanager
async def running(controller: SlotsController) -> AsyncIterator[None]:
    task = asyncio.create_task(controller.run())
    try:
        yield
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def fake(tmp_path: Path) -> FakeStack:
    return FakeStack(tmp_path)


@pytest.fixture
async def controller(fake: FakeStack, event_log: EventLog) -> AsyncIterator[SlotsController]:
    """A running controller of that stack."""
    made = fake.controller(event_log)
    async with running(made):
        yield made


async def settle(controller: SlotsController, slots: int) -> None:
    controller.resize(slots)
    await eventually_async(lambda: controller.settled)


async def test_slots_are_added_in_the_replicas_before_the_gateway_uses_them(
    fake: FakeStack, controller: SlotsController, event_log: EventLog
) -> None:
    controller.resize(4)
    assert (controller.desired, controller.settled) == (4, False)
    await eventually_async(lambda: controller.settled)
    assert fake.limit_of == {1: 4, 2: 4, 3: 4}
    for index in (1, 2):
        at = fake.order.index
        assert at(f"replica {index}: 4") < at(f"gateway {index}: 4")
    # A gateway that restarts before all replicas have the slots must not send more than they take.
    assert fake.order[-1] == "configuration: 4"
    messages = [entry.message for entry in event_log.recent]
    assert messages == ["2 → 4 slots per replica requested", "each replica has 4 slots"]


async def test_slots_are_removed_from_the_gateway_before_the_replicas(
    fake: FakeStack, controller: SlotsController
) -> None:
    await settle(controller, 4)
    fake.order.clear()
    await settle(controller, 1)
    assert fake.order[0] == "configuration: 1"
    assert fake.order[1:4] == [f"gateway {index}: 1" for index in (1, 2, 3)]
    assert sorted(fake.order[4:]) == ["replica 1: 1", "replica 2: 1"]


async def test_a_slow_replica_does_not_delay_the_others(
    fake: FakeStack, controller: SlotsController
) -> None:
    fake.slow = {1}
    controller.resize(4)
    await eventually_async(lambda: fake.limit_of == {1: 2, 2: 4, 3: 4})
    assert (controller.settled, fake.configured) == (False, 2)
    fake.slow = set()
    await eventually_async(lambda: controller.settled)
    assert fake.limit_of[1] == fake.configured == 4


async def test_a_replica_that_does_not_answer_gets_no_more_requests(
    fake: FakeStack, controller: SlotsController
) -> None:
    fake.silent = {2}
    controller.resize(4)
    await eventually_async(lambda: fake.limit_of == {1: 4, 2: 2, 3: 4})
    assert not controller.settled
    # It is gone; the next replica with its index reads the file when it starts.
    del fake.replicas[2]
    await eventually_async(lambda: controller.settled)
    assert fake.limit_of[2] == 4


async def test_a_deleted_slots_file_is_written_again(
    fake: FakeStack, controller: SlotsController
) -> None:
    await settle(controller, 4)
    fake.file.path.unlink()
    controller.wake()
    await eventually_async(fake.file.path.exists)
    assert fake.file.read() == (4, "")


async def test_the_last_request_is_met_as_soon_as_the_gateway_is_back(
    fake: FakeStack, controller: SlotsController
) -> None:
    fake.away = True
    for slots in (4, 1, 8, 3):
        controller.resize(slots)
        await asyncio.sleep(0.01)
    fake.away = False
    await eventually_async(lambda: fake.agrees(3))


EVENTS = st.one_of(
    st.tuples(st.just("ask"), st.integers(1, 8)),
    st.tuples(st.sampled_from(["start", "die", "slow", "quick"]), st.integers(1, 3)),
    st.tuples(st.sampled_from(["restart", "away", "back", "pause"]), st.just(0)),
)


@settings(max_examples=examples(60))
@given(st.lists(EVENTS, max_size=25))
def test_no_replica_ever_gets_more_requests_than_slots_and_all_values_agree_in_the_end(
    events: list[tuple[str, int]],
) -> None:
    async def play(folder: Path) -> None:
        fake = FakeStack(folder)
        event_log = EventLog.to_files(load(stack={"data_dir": folder / "data"}), "stack", "stack")
        controller = fake.controller(event_log)
        async with running(controller):
            for event, index in [*events, ("back", 0), *(("quick", n) for n in (1, 2, 3))]:
                _apply(fake, controller, event, index)
                controller.wake()
                for _ in range(index):
                    await asyncio.sleep(0)
            async with asyncio.timeout(20):
                while not (controller.settled and fake.agrees(controller.desired)):  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
        event_log.close()
        assert fake.broken == []

    with TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder)))


def _apply(fake: FakeStack, controller: SlotsController, event: str, index: int) -> None:
    match event:
        case "ask":
            controller.resize(index)
        case "start":
            if index not in fake.replicas:
                fake.start(index)
        case "die":
            fake.replicas.pop(index, None)
        case "slow":
            fake.slow.add(index)
        case "quick":
            fake.slow.discard(index)
        case "restart":
            fake.restart_gateway()
        case "away" | "back":
            fake.away = event == "away"


def errors(event_log: EventLog) -> list[str]:
    return [entry.message for entry in event_log.recent if entry.level == "error"]


async def test_a_refused_limit_is_logged_once_and_retried(
    fake: FakeStack, event_log: EventLog
) -> None:
    controller = fake.controller(event_log)
    fake.refusing = "HAProxy refuses to change the slots: No such server."
    async with running(controller):
        controller.resize(4)
        await eventually_async(lambda: errors(event_log))
        controller.wake()
        attempts = fake.attempts
        await eventually_async(lambda: fake.attempts > attempts + 2)
        assert errors(event_log) == [f"cannot set 4 slots: {fake.refusing}"]
        fake.refusing = ""
        await eventually_async(lambda: controller.settled)


async def test_a_full_disk_is_logged_and_retried(fake: FakeStack, event_log: EventLog) -> None:
    controller = fake.controller(event_log)
    fake.file.path.unlink()
    fake.file.path.mkdir()  # so that the file cannot be written
    async with running(controller):
        controller.resize(4)
        await eventually_async(lambda: errors(event_log))
        assert set(fake.limit_of.values()) == {2}
        fake.file.path.rmdir()
        await eventually_async(lambda: controller.settled)
    assert set(fake.limit_of.values()) == {4}


async def test_the_resizer_sets_both_numbers_or_neither(
    fake: FakeStack, event_log: EventLog
) -> None:
    def create(index: int, release: Release) -> ProcessSupervisor:
        raise AssertionError("nothing is started here")

    replicas = ReplicaPool(
        create, event_log, NO_GATEWAY, max_replicas=6, desired=1, release=Release(path=Path())
    )
    slots = fake.controller(event_log)
    bounds = Replicas(min=1, max=6)
    resizer = LocalResizer(replicas, bounds, slots)
    assert (await resizer.status()).slots == 2
    for index, count in ((7, 4), (3, 9), (3, 0)):
        with pytest.raises(ResizeRefusedError, match="are outside"):
            await resizer.resize(index, count)
    assert (replicas.desired, slots.desired) == (1, 2)
    assert (await resizer.resize(3, 8)).slots == 8
    assert (await resizer.resize(4)).slots == 8
    assert (replicas.desired, slots.desired) == (4, 8)
    fixed = LocalResizer(replicas, bounds)
    assert (await fixed.status()).slots is None
    with pytest.raises(ResizeRefusedError, match=r"cannot be set: see slots\.max"):
        await fixed.resize(2, 2)
    assert replicas.desired == 4


@pytest.mark.parametrize(
    ("metrics", "slots"),
    [
        ("# TYPE tidegate_slots gauge\ntidegate_slots 4.0\ntidegate_slots_busy 1.0\n", 4),
        ('tidegate_slots{a="b"} 3\n', 3),
        ("tidegate_slots_busy 1.0\n", None),
        ("tidegate_slots NaN\n", None),
        (None, None),
    ],
)
async def test_the_slots_are_parsed_from_the_metrics_of_a_replica(
    metrics: str | None, slots: int | None
) -> None:
    async def fetch(url: str, seconds: float) -> str | None:
        assert url == "http://replica-7/metrics"
        return metrics

    assert await slots_from_metrics(fetch, lambda index: f"http://replica-{index}")(7) == slots
