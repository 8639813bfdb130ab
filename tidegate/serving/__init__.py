"""What makes an ASGI application a replica: request slots, readiness, and a graceful shutdown."""

from tidegate.serving.app_loader import LoadError, load_app, load_attribute, required_arguments
from tidegate.serving.failures import LoadingError, code_location, describe
from tidegate.serving.lifecycle import Lifecycle, Phase
from tidegate.serving.loading import Loading
from tidegate.serving.ready_check import ReadyCheck, load_ready_check
from tidegate.serving.replica import Replica, make_replica
from tidegate.serving.run_server import PortInUseError, ReplicaFailedError, serve
from tidegate.serving.slot_paths import manual_slots
from tidegate.serving.slots import NoSlotError, Slot, SlotMetrics, Slots
from tidegate.serving.slots_middleware import acquire_slot
from tidegate.telemetry.asgi import ASGIApp

__all__ = [
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
    "acquire_slot",
    "code_location",
    "describe",
    "load_app",
    "load_attribute",
    "load_ready_check",
    "make_replica",
    "manual_slots",
    "required_arguments",
    "serve",
]
