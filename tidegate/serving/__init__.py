"""What makes an ASGI application a replica: request slots, readiness, and a graceful shutdown."""

from tidegate.serving.failures import LoadingError
from tidegate.serving.graceful_close import SETTLE_SECONDS, drop_new_connections
from tidegate.serving.lifecycle import Lifecycle, Phase
from tidegate.serving.listener import PortInUseError
from tidegate.serving.load_app import LoadError, load_app
from tidegate.serving.loading import Loading
from tidegate.serving.ready_check import ReadyCheck, load_ready_check
from tidegate.serving.replica import Replica, make_replica
from tidegate.serving.serve import ReplicaFailedError, serve
from tidegate.serving.slot_paths import manual_slots
from tidegate.serving.slots import NoSlotError, Slot, SlotMetrics, Slots
from tidegate.serving.slots_follower import SlotsFollower
from tidegate.serving.slots_middleware import acquire_slot
from tidegate.telemetry.asgi import ASGIApp

__all__ = [
    "SETTLE_SECONDS",
    "ASGIApp",
    "Lifecycle",
    "LoadError",
    "Loading",
    "LoadingError",
    "NoSlotError",
    "Phase",
    "PortInUseError",
    "ReadyCheck",
    "Replica",
    "ReplicaFailedError",
    "Slot",
    "SlotMetrics",
    "Slots",
    "SlotsFollower",
    "acquire_slot",
    "drop_new_connections",
    "load_app",
    "load_ready_check",
    "make_replica",
    "manual_slots",
    "serve",
]
