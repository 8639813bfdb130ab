"""The answer of `GET /status` on the control socket: the whole stack at a glance."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from tidegate.stack.journal import Entry
from tidegate.stack.keeper import Keeper, State

StackState = Literal["starting", "ready", "degraded", "stopping"]


class Answer(BaseModel):
    """A part of the status."""

    model_config = ConfigDict(frozen=True)


class ProgramStatus(Answer):
    """One program. Times are seconds since 1970; `problem` is empty or says what is wrong."""

    id: str
    state: State
    pid: int | None
    started_at: float
    ready_at: float | None
    restarts: int
    address: str
    problem: str


class StackStatus(Answer):
    """All of it. `running` counts ready and starting replicas."""

    state: StackState
    pid: int
    started_at: float
    data_dir: str
    service: str
    gateway: str
    prometheus: str
    store: str
    simulated_device: bool
    objective_seconds: float
    components: list[ProgramStatus]
    min: int
    max: int
    desired: int
    running: int
    ready: int
    replicas: list[ProgramStatus]
    recent: list[Entry]


def program_status(keeper: Keeper) -> ProgramStatus:
    """The status of what a keeper keeps."""
    return ProgramStatus(
        id=keeper.program.name,
        state=keeper.state,
        pid=keeper.pid,
        started_at=keeper.started_at,
        ready_at=keeper.ready_at,
        restarts=keeper.restarts,
        address=keeper.program.address,
        problem=keeper.problem,
    )


def judge(components: list[ProgramStatus], replicas: list[ProgramStatus]) -> StackState:
    """Whether a stack that was once ready still is.

    Replicas that start because more are wanted, or that drain, are no fault; failed ones are, and so
    is having none that takes requests.
    """
    whole = all(one.state == "ready" for one in components)
    failed = any(one.state == "failed" for one in replicas)
    served = any(one.state == "ready" for one in replicas)
    return "ready" if whole and served and not failed else "degraded"
