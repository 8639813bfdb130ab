"""The autoscaler's process: the production loop, put together as `tidegate.autoscaler.live.run` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from tidegate.autoscaler.decided_number import DecidedNumber
from tidegate.autoscaler.live.configured_policy import bounds, configured_policy
from tidegate.autoscaler.live.gateway_reader import GatewayReader
from tidegate.autoscaler.live.loop import Autoscaler, run_ticks
from tidegate.autoscaler.live.metrics import Metrics
from tidegate.autoscaler.live.override import Override
from tidegate.autoscaler.live.run import CALL_SHARE, MISSED_TICKS
from tidegate.autoscaler.live.signals import PrometheusReader
from tidegate.autoscaler.policy_builder import BuiltPolicy
from tidegate.events.event import Origin
from tidegate.runtime.event_log import EventLog
from tidegate.settings import Settings

from .event_loop import PROCESS
from .network import GATEWAY, PROMETHEUS, PrometheusServer, ResizerServer, Session, client, exporter
from .programs import AUTOSCALER_PORT, Running
from .schedule import Setup
from .world import SimulatedTime, World, caller, world


@lru_cache(maxsize=256)
def configured(setup: Setup) -> tuple[Settings, BuiltPolicy]:
    """The settings, and their policy."""
    settings = Settings.model_validate(
        {
            "replicas": {
                "min": setup.min,
                "max": setup.max,
                "start": setup.start,
                "start_seconds": setup.start_limit,
                "drain_seconds": setup.drain_seconds,
            },
            "slots": {"per_replica": setup.slots},
            # The history of days is read from Prometheus once an hour; there is none here.
            "autoscaler": {"policy": setup.policy, "predictive": False, "idle_seconds": 12.0},
        }
    )
    return settings, configured_policy(settings)


class Writer:
    """In the place of event files: hands each event to the world, with the process that wrote it."""

    def write(self, event: Mapping[str, Any]) -> None:
        """Write an event, unless the process is dead."""
        process = PROCESS.get()
        if process is None or not process.dead:
            for check in world().on_event:
                check(caller(), event)

    def close(self) -> None:
        """Nothing is open."""


def event_log(node: str) -> EventLog:
    """An event log of a process."""
    origin = Origin("flights", "1", "test", node, "default")
    return EventLog(Writer(), origin, clock_ns=SimulatedTime.time_ns)


class AutoscalerProgram(Running):
    """`tidegate autoscaler`."""

    def __init__(
        self,
        this: World,
        prometheus: PrometheusServer,
        resizer: ResizerServer,
        name: str,
        on_exit: Callable[[int], None],
    ) -> None:
        super().__init__(this, name, AUTOSCALER_PORT if name == "autoscaler" else 0, on_exit)
        self._servers = (prometheus, resizer)
        self.ticked_at = 0.0
        self.after(0.4, self._begin)

    def _begin(self) -> None:
        if self.port == 0 or self.listen():
            self.ready = True
            self.process.spawn(self._run())

    async def _run(self) -> None:
        this, (prometheus, resizer) = self.world, self._servers
        settings, built = configured(this.setup)
        timeout = CALL_SHARE * built.tick_seconds
        decided = DecidedNumber(
            bounds(settings), MISSED_TICKS * built.tick_seconds, SimulatedTime.monotonic
        )
        session: Any = Session({PROMETHEUS: prometheus, GATEWAY: exporter})
        stale = settings.autoscaler.stale_seconds
        autoscaler = Autoscaler(
            policy_name=built.expression,
            policy=built.policy,
            read=PrometheusReader(PROMETHEUS, session, stale, timeout, this.unix).read,
            resizer=client(resizer, timeout),
            event_log=event_log(self.process.name),
            metrics=Metrics(decided, clock=SimulatedTime.monotonic),
            read_override=self._read_override,
            bounds=bounds(settings),
            read_gateway=GatewayReader(GATEWAY, session, clock=SimulatedTime.monotonic).read,
            decided=decided,
            slots=settings.slots.per_replica,
            uses_gateway=built.uses_gateway,
            unix=this.unix,
        )
        await run_ticks(autoscaler, built.tick_seconds)

    def _read_override(self, unix: float) -> tuple[Override | None, str]:
        """What a person has written to the control file."""
        del unix
        if self.world.kind("override") == "garbage":
            return None, "the control file is not a valid pause, so nothing is paused"
        return override(self.world), ""


def override(this: World) -> Override | None:
    """The pause or the manual bounds in force."""
    kind, number, most = this.kind("override"), this.number("override"), this.setup.max
    if kind == "pause":
        return Override(this.unix() + 60)
    if kind == "bounds":
        low = min(most, number // 2)
        return Override(this.unix() + 60, min=low, max=max(low, most - number % 3))
    return None
