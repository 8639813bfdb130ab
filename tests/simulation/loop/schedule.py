"""What a seed means: the stack, its load, and the faults with their times."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final, Literal

# No fault lasts longer than this, in seconds of the simulated clock.
FAULTS_END: Final = 45.0
# Most remove replicas sooner than by default, so that a minute shows it.
POLICIES: Final = (
    "sloq",
    "sloq:down_seconds=5",
    "sloq:down_seconds=10",
    "hpa:down_stabilization_seconds=5",
    "kpa",
    "step",
)
Backend = Literal["local", "kubernetes"]

# The kinds of each part's faults. Those of a length below 0 happen once and have no end.
KINDS: Final[dict[str, tuple[str, ...]]] = {
    "prometheus": ("lost", "slow", "stale", "nan", "half", "torn", "error"),
    "exporter": ("lost", "slow", "torn"),
    "resizer": ("lost-request", "lost-answer", "slow", "garbage"),
    "autoscaler": ("crash", "stop", "second"),
    "client": ("restless",),
    "clock": ("jump",),
    "override": ("pause", "bounds", "garbage"),
}
LOCAL: Final[dict[str, tuple[str, ...]]] = {
    "socket": ("full", "hang", "late", "reset-before", "reset-after", "garbage"),
    "replica": ("crash", "stop", "unready"),
    "start": ("slow", "exit", "never", "deaf"),
    "port": ("taken",),
    "gateway": ("crash", "stop"),
    "supervisor": ("crash", "stop", "second"),
    "deploy": ("good", "twice", "bad", "later-bad"),
}
KUBERNETES: Final[dict[str, tuple[str, ...]]] = {
    "api": ("lost", "slow", "429", "409", "lost-answer", "half"),
    "pod": ("crash", "pending"),
    "other": ("scale", "zero", "hpa", "zero-restart"),
    "resizer-process": ("crash", "stop", "second"),
}


@dataclass(frozen=True)
class Fault:
    """One fault: from `at` for `seconds`; `number` is a replica's, the size of a jump, or the like."""

    at: float
    part: str
    kind: str
    number: int
    seconds: float

    def __str__(self) -> str:
        return f"at {self.at:5.1f} s for {self.seconds:4.1f} s: {self.part} {self.kind} ({self.number})"


@dataclass(frozen=True)
class Setup:
    """The stack and its load.

    Attributes:
        backend: what runs the replicas.
        min: replicas, at least.
        max: replicas, at most.
        start: replicas at the start.
        slots: of a replica.
        policy: the autoscaler's.
        rates: requests a second from a time on, in order of time.
        service_seconds: the time of a request in a slot.
        startup_seconds: until a replica is ready.
        start_limit: `replicas.start_seconds`.
        drain_seconds: `replicas.drain_seconds`.
        answers_first: whether replicas answer what they have after SIGTERM.
        own_code: whether replicas run code from the disk instead of copies of artefacts.
    """

    backend: Backend
    min: int
    max: int
    start: int
    slots: int
    policy: str
    rates: tuple[tuple[float, float], ...]
    service_seconds: float
    startup_seconds: float
    start_limit: float
    drain_seconds: float
    answers_first: bool
    own_code: bool


@dataclass(frozen=True)
class Schedule:
    """A setup, and faults in the order of their times."""

    seed: int
    setup: Setup
    faults: tuple[Fault, ...]


def draw(seed: int) -> Schedule:
    """The schedule of a seed."""
    random = Random(f"schedule {seed}")
    backend: Backend = "kubernetes" if random.random() < 0.25 else "local"
    kinds = KINDS | (LOCAL if backend == "local" else KUBERNETES)
    count = random.choice((1, 1, 2, 2, 3, 4, 6, 9))
    faults = sorted(
        (_fault(random, *random.choice([*kinds.items()])) for _ in range(count)),
        key=lambda fault: fault.at,
    )
    return Schedule(seed, _setup(random, backend), tuple(faults))


def _fault(random: Random, part: str, kinds: tuple[str, ...]) -> Fault:
    at = round(random.uniform(3, FAULTS_END - 2), 3)
    seconds = min(random.choice((0.5, 2, 5, 12, 30)), FAULTS_END - at)
    number = random.randint(1, 6) if part != "clock" else random.choice((-3600, -20, -1, 20, 3600))
    return Fault(at, part, random.choice(kinds), number, round(seconds, 3))


def _setup(random: Random, backend: Backend) -> Setup:
    least = random.choice((0, 1, 1, 2))
    most = random.randint(max(2, least), 6)
    slots = random.choice((1, 2, 4))
    service = random.choice((0.1, 0.4, 1.0))
    whole = most * slots / service
    rates = [(0.0, min(12.0, whole * random.uniform(0.05, 0.6)))]
    rates += [
        (random.uniform(5, 40), min(12.0, whole * random.uniform(0, 0.9)))
        for _ in range(random.randint(0, 2))
    ]
    return Setup(
        backend=backend,
        min=least,
        max=most,
        start=random.randint(max(1, least), most),
        slots=slots,
        policy=random.choice(POLICIES),
        rates=tuple(sorted(rates)),
        service_seconds=service,
        startup_seconds=random.choice((0.3, 1.0, 3.0)),
        start_limit=random.choice((8.0, 15.0)),
        drain_seconds=random.choice((3.0, 8.0)),
        answers_first=random.random() < 0.6,
        own_code=random.random() < 0.5,
    )
