"""What makes an ASGI application a replica: request slots, readiness, and a graceful shutdown."""

from tidegate.serving.graceful_close import SETTLE_SECONDS, drop_new_connections
from tidegate.serving.lifecycle import Lifecycle, Phase
from tidegate.serving.slots import NoSlotError, Slot, SlotMetrics, Slots
from tidegate.serving.slots_follower import SlotsFollower

__all__ = [
    "SETTLE_SECONDS",
    "Lifecycle",
    "NoSlotError",
    "Phase",
    "Slot",
    "SlotMetrics",
    "Slots",
    "SlotsFollower",
    "drop_new_connections",
]
