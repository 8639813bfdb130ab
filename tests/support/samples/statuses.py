"""The status of a stack, of which a test names what matters to it."""

from __future__ import annotations

from tidegate.stack.supervisor.status import ProgramStatus, StackStatus


def program_status(name: str, state: str, **more: object) -> ProgramStatus:
    fields = {"pid": 11, "started_at": 1000.0, "ready_at": 1001.0, "restarts": 0, "problem": ""}
    address = "http://127.0.0.1:1"
    return ProgramStatus.model_validate(
        {"id": name, "state": state, "address": address, **fields, **more}
    )


def whole_status(**more: object) -> StackStatus:
    """Of two replicas one is ready; the device is simulated."""
    numbers = {"pid": 1, "min": 1, "max": 6, "desired": 2, "running": 1, "ready": 1}
    return StackStatus.model_validate(
        {
            "state": "degraded",
            "data_dir": "/d",
            "service": "flights",
            "store": "embedded",
            "gateway": "http://127.0.0.1:8000",
            "prometheus": "http://127.0.0.1:9090",
            "started_at": 1000.0,
            "simulated_device": True,
            "objective_seconds": 0.5,
            **numbers,
            "slots": 2,
            "own_slots": 2,
            "recent": [],
            "components": [program_status("gateway", "ready")],
            "replicas": [
                program_status("flights-1", "ready", restarts=2),
                program_status("flights-2", "failed", pid=None, problem="was killed by SIGKILL"),
            ],
            **more,
        }
    )
