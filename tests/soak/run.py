"""Runs the steps of a schedule on a stack under load."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from soak.account import SUPERVISOR, Account, Window, every_event, ids_in, requests_of, settle
from soak.schedule import Fault, Step, name
from support.eventually import eventually
from support.processes.load import constant
from support.processes.running_stack import Stack

PROGRESS_SECONDS: Final = 10.0
# It is stopped when the last step has recovered. A longer plan costs time in the report of the load.
LOAD_SECONDS: Final = 1800.0


class Faults(Protocol):
    """Begins the faults of a step together, and ends each."""

    def begin(self, step: Step) -> None: ...

    def end(self, fault: Fault) -> None: ...


class Stored(Protocol):
    """What arrived at the end of the pipeline."""

    def of_trace(self, trace_id: str) -> int:
        """How many request events there are of a trace."""
        ...

    def every(self) -> list[dict[str, Any]]:
        """All events."""
        ...


@dataclass(frozen=True)
class InStore:
    """In the store of a stack."""

    stack: Stack

    def of_trace(self, trace_id: str) -> int:
        query = f"trace.id:{trace_id} AND event.dataset:tidegate.request"
        return int(self.stack.search(query, size=0).total)

    def every(self) -> list[dict[str, Any]]:
        with closing(self.stack.store()) as store:
            return every_event(store)


@dataclass
class Report:
    """What a soak found."""

    windows: list[Window] = field(default_factory=list)
    account: Account = field(default_factory=Account)

    def lines(self) -> Iterator[str]:
        """A line for each step, then the account."""
        for one in self.windows:
            yield f"{name(one.step)}: recovered {one.recovery:.1f} s after its end"
        yield str(self.account)
        yield from (f"WRONG: {each}" for each in self.account.wrong)


@contextmanager
def progress(what: Callable[[], str], say: Callable[[str], None]) -> Iterator[None]:
    """Say each 10 s how long the block has been running, and what it does."""
    began, ended = time.monotonic(), threading.Event()

    def speak() -> None:
        while not ended.wait(PROGRESS_SECONDS):
            say(f"soak: {time.monotonic() - began:.0f} s, {what()}")

    speaker = threading.Thread(target=speak, daemon=True)
    speaker.start()
    try:
        yield
    finally:
        ended.set()
        speaker.join()


def run(
    stack: Stack,
    folder: Path,
    steps: Sequence[Step],
    faults: Faults,
    *,
    rate: float,
    stored: Stored | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Report:
    """Run all steps under a load of `rate` light requests a second; returns the account of it.

    Args:
        stack: it runs, and is stopped here before the account is made, as its stop delivers what is left.
        folder: for the files of the load.
        steps: of `schedule`.
        faults: begins and ends what is in the steps.
        rate: of a Poisson process.
        stored: where the events are in the end; by default in the store of the stack.
        say: is told each 10 s how far it is.
    """
    report, now = Report(), ["the load begins"]
    stored = stored or InStore(stack)
    rows = stack.settings.model.path / "samples.ndjson"
    body = json.dumps({"instances": [json.loads(rows.read_text().partition("\n")[0])]}).encode()
    load = stack.load(
        folder,
        *("--rows", str(rows)),
        phases=constant(LOAD_SECONDS, rate),
        works=("light",),
        arrivals="poisson",
    )
    with progress(lambda: now[0], say), load as sent:
        # It has found its target, and begins: the first fault must not be in the way of that.
        eventually(lambda: [*folder.glob("runs/*")], "the load begins")
        for number, step in enumerate(steps, 1):
            now[0] = f"{name(step)} ({number} of {len(steps)})"
            report.windows.append(_happen(stack, step, faults, body, stored))
        now[0] = "the load ends"
        sent.stop()
        stopped = stack.tidegate("down")
        assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    report.account = settle(
        requests_of(folder / "runs" / "latest"),
        stored.every(),
        ids_in(stack.data / "logs"),
        report.windows,
    )
    return report


def _happen(stack: Stack, step: Step, faults: Faults, body: bytes, stored: Stored) -> Window:
    """Let the faults of a step happen, and wait until the stack has recovered."""
    began = time.time()
    faults.begin(step)
    # What lasts ends before a new stack starts, which would wait for it.
    for fault in sorted(step, key=lambda one: (one.target == SUPERVISOR, one.seconds)):
        # Its duration is what the fault is, not a wait for something.
        time.sleep(max(0.0, began + fault.seconds - time.time()))
        faults.end(fault)
    ended = time.time()
    trace = eventually(lambda: _answered(stack, body), f"the stack answers after {name(step)}")
    answered = time.time()
    eventually(lambda: stored.of_trace(trace) == 1, f"an event is found after {name(step)}")
    eventually(lambda: stack.status()["state"] == "ready", f"the stack is ready after {name(step)}")
    return Window(step, began, ended, answered, time.time())


def _answered(stack: Stack, body: bytes) -> str:
    """The trace id of an answer; empty if there is none."""
    answer = stack.send("/predict", body)
    return answer.headers["traceresponse"].split("-")[1] if answer.status == 200 else ""
