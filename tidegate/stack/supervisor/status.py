"""The status of the stack, the response of `GET /status` on the control socket."""

from __future__ import annotations

import time
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from tidegate.autoscaler.live.override import OverrideFile
from tidegate.runtime.event_log import Entry
from tidegate.settings import Settings
from tidegate.stack.processes.process_supervisor import ProcessSupervisor, State
from tidegate.stack.replicas.release import Release
from tidegate.stack.rollout.rolling_replacement import RolloutStatus

StackState = Literal["starting", "ready", "degraded", "stopping"]


class StatusModel(BaseModel):
    """A part of the status."""

    model_config = ConfigDict(frozen=True)


class ProgramStatus(StatusModel):
    """One program. Times are in seconds since 1970; `problem` is empty or says what is wrong.

    `version` is the version of the model, or of the application, that a replica reports. `start_seconds`
    are those of each phase of its last start, in their order.
    """

    id: str
    state: State
    pid: int | None = None
    started_at: float = 0.0
    ready_at: float | None = None
    restarts: int = 0
    address: str = ""
    problem: str = ""
    version: str = ""
    start_seconds: dict[str, float] = {}


class PauseStatus(StatusModel):
    """The pause until `until`, in seconds since 1970; without bounds the number of replicas is fixed."""

    until: float
    min: int | None
    max: int | None
    words: str


class FiringAlert(StatusModel):
    """An alert of Prometheus that fires."""

    name: str
    severity: str
    summary: str


class StackStatus(StatusModel):
    """The whole stack. `running` counts ready and starting replicas; `rollout` is the last rollout.

    `problem` is empty or says what is wrong with the stack as a whole, such as a full disk. `slots` are the
    desired slots of each replica, `own_slots` those of the settings. `program` is the application or command
    that replicas run; empty for the model service. `faults` counts the unexpected errors in the supervisor.
    `machine` is empty or says that its processors are fully used; `source` is empty or says that the model's
    file has changed since its `release`. `console` is its URL, or empty. `gateway_folder` names the gateway's
    part of the data folder.
    """

    state: StackState
    pid: int = 0
    started_at: float = 0.0
    data_dir: str = ""
    gateway_folder: str = "gateway"
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
    recent: list[Entry] = []
    rollout: RolloutStatus | None = None
    pause: PauseStatus | None = None
    problem: str = ""
    program: str = ""
    alerts: list[FiringAlert] = []
    faults: int = 0
    machine: str = ""
    source: str = ""
    release: Release | None = None
    console: str = ""


def program_status(process: ProcessSupervisor, version: str = "") -> ProgramStatus:
    """The status of a supervised process."""
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
        start_seconds=process.start_seconds,
    )


def stack_status(
    settings: Settings,
    components: list[ProgramStatus],
    replicas: list[ProgramStatus],
    *,
    state: StackState | None = None,
    problem: str = "",
    **own: Any,
) -> StackStatus:
    """The status of a stack with these settings, programs and `own` fields.

    Without a state, of a stack that neither starts nor stops, its programs decide on it.
    """
    ready = sum(one.state == "ready" for one in replicas)
    found = {
        "state": state or stack_state(components, replicas, settings.replicas.min, problem=problem),
        "service": settings.service.name,
        "store": settings.store.kind,
        "simulated_device": settings.device.simulated,
        "objective_seconds": settings.slo.latency_seconds,
        "components": components,
        "min": settings.replicas.min,
        "max": settings.replicas.max,
        "desired": ready,
        "running": ready + sum(one.state == "starting" for one in replicas),
        "ready": ready,
        "slots": settings.slots.per_replica,
        "own_slots": settings.slots.per_replica,
        "replicas": replicas,
        "pause": pause_status(settings),
        "problem": problem,
    }
    return StackStatus.model_validate({**found, **own})


def pause_status(settings: Settings) -> PauseStatus | None:
    """The pause in force, or None."""
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
    """Whether a stack that has been ready is still ready.

    It is degraded by a component that is not ready, a failed replica, or a problem of the stack as a whole;
    also by having no ready replica, unless `min_replicas` is 0: then requests wait for one. Replicas that
    start or drain do not degrade it.
    """
    components_ready = all(one.state == "ready" for one in components)
    failed = any(one.state == "failed" for one in replicas)
    served = min_replicas == 0 or any(one.state == "ready" for one in replicas)
    return "ready" if components_ready and served and not failed and not problem else "degraded"
