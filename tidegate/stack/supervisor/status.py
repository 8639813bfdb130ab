"""The answer of `GET /status` on the control socket: the whole stack at a glance."""

from __future__ import annotations

import time
from typing import Literal

from pydantic import BaseModel, ConfigDict

from tidegate.autoscaler.live.override import OverrideFile
from tidegate.runtime.event_log import Entry
from tidegate.settings import Settings
from tidegate.stack.processes.process_supervisor import ProcessSupervisor, State
from tidegate.stack.rollout.rolling_replacement import RolloutStatus

StackState = Literal["starting", "ready", "degraded", "stopping"]


class StatusModel(BaseModel):
    """A part of the status."""

    model_config = ConfigDict(frozen=True)


class ProgramStatus(StatusModel):
    """One program. Times are seconds since 1970; `problem` is empty or says what is wrong.

    `version` is that of a replica's model, as it says itself.
    """

    id: str
    state: State
    pid: int | None
    started_at: float
    ready_at: float | None
    restarts: int
    address: str
    problem: str
    version: str = ""


class PauseStatus(StatusModel):
    """A pause in force: `until` in seconds since 1970; without bounds the number of replicas is held."""

    until: float
    min: int | None
    max: int | None
    words: str


class StackStatus(StatusModel):
    """All of it. `running` counts ready and starting replicas; `rollout` is the last replacement.

    `problem` is empty or says what is wrong with the stack as a whole, such as a full disk. `slots` are
    those asked for in each replica, `own_slots` those that it has by itself.
    """

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
    slots: int
    own_slots: int
    replicas: list[ProgramStatus]
    recent: list[Entry]
    rollout: RolloutStatus | None = None
    pause: PauseStatus | None = None
    problem: str = ""


def program_status(process: ProcessSupervisor, version: str = "") -> ProgramStatus:
    """The status of what a process keeps."""
    return ProgramStatus(
        id=process.program.name,
        state=process.state,
        pid=process.pid,
        started_at=process.started_at,
        ready_at=process.ready_at,
        restarts=process.restarts,
        address=process.program.address,
        problem=process.problem,
        version=version,
    )


def pause_status(settings: Settings) -> PauseStatus | None:
    """The pause that the autoscaler keeps to now, if there is one."""
    if not settings.autoscaler.enabled:
        return None
    override, _ = OverrideFile(settings.control_file).read(time.time())
    if override is None:
        return None
    return PauseStatus(
        until=override.until, min=override.min, max=override.max, words=override.description
    )


def stack_state(
    components: list[ProgramStatus],
    replicas: list[ProgramStatus],
    min_replicas: int = 1,
    *,
    problem: str = "",
) -> StackState:
    """Whether a stack that was once ready still is.

    Replicas that start because more are wanted, or that drain, are no fault; failed ones are, and so
    is having none that takes requests, unless there may be none: then requests wait until one is back.
    A problem of the stack as a whole is one, too.
    """
    whole = all(one.state == "ready" for one in components)
    failed = any(one.state == "failed" for one in replicas)
    served = min_replicas == 0 or any(one.state == "ready" for one in replicas)
    return "ready" if whole and served and not failed and not problem else "degraded"
