"""How the faults of a stack are begun and ended."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from soak.account import SUPERVISOR
from soak.schedule import Fault, Step
from support.doubles.small_disk import fill, make_room
from support.eventually import eventually
from support.processes.running_stack import Stack

ACCESS_LOG: Final = "access-log"
"""The process that reads the gateway's output, which the status does not name."""


def processes(stack: Stack) -> dict[str, int]:
    """The process of each part of a stack, by its name; none while it does not answer."""
    status = stack.status()
    if "components" not in status:
        return {}
    programs = [*status["components"], *status["replicas"]]
    found = {one["id"]: one["pid"] for one in programs if one["pid"]}
    for child in psutil.Process(status["pid"]).children(recursive=True):
        with suppress(psutil.Error):
            if any(part.endswith("gateway.access_log") for part in child.cmdline()):
                found[ACCESS_LOG] = child.pid
    return {SUPERVISOR: status["pid"], **found}


@dataclass
class Injection:
    """The faults of one stack.

    Attributes:
        clock: the file from which its programs read by how much their clock differs; None for no such clock.
    """

    stack: Stack
    clock: Path | None = None
    _stopped: dict[str, int] = field(default_factory=dict)
    _dropped: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def begin(self, step: Step) -> None:
        """Let the faults of a step happen."""
        # All at first: the supervisor may be the one that stops.
        pids = eventually(lambda: processes(self.stack), "the processes are known")
        # The supervisor last: its end is that of all, and without it the others' ports are not known.
        for fault in sorted(step, key=lambda one: one.target == SUPERVISOR):
            self._begin(fault, pids)

    def _begin(self, fault: Fault, pids: dict[str, int]) -> None:
        match fault.kind:
            case "kill" | "stop":
                self._signal(fault, pids)
            case "cut":
                # In the network namespace of this thread.
                port = str(self.stack.program(fault.target)["address"]).rpartition(":")[2]
                rule = ("INPUT", "--protocol", "tcp", "--dport", port, "--jump", "DROP")
                self._dropped[fault.target] = rule
                _iptables("--insert", rule)
            case "disk":
                fill(self.stack.data)
            case "clock":
                self._set_clock(fault.target)
            case "store":
                raise ValueError(f"no proxy is in front of the store: {fault}")

    def end(self, fault: Fault) -> None:
        """End a fault that lasts."""
        match fault.kind:
            case "stop":
                with suppress(ProcessLookupError):  # it was taken for hanging, and replaced
                    os.kill(self._stopped.pop(fault.target), signal.SIGCONT)
            case "cut":
                _iptables("--delete", self._dropped.pop(fault.target))
            case "disk":
                make_room(self.stack.data)
            case "clock":
                self._set_clock("+0")
            case "kill" if fault.target == SUPERVISOR:
                started = self.stack.tidegate("up", "--detach")
                assert started.returncode == 0, started.stdout + started.stderr
            case _:
                pass

    def _signal(self, fault: Fault, pids: dict[str, int]) -> None:
        pid = pids[fault.target]
        if fault.kind == "stop":
            self._stopped[fault.target] = pid
        os.kill(pid, signal.SIGKILL if fault.kind == "kill" else signal.SIGSTOP)
        if (fault.kind, fault.target) == ("kill", SUPERVISOR):
            eventually(lambda: not any(map(psutil.pid_exists, pids.values())), "all have ended")

    def _set_clock(self, difference: str) -> None:
        assert self.clock is not None, "the stack runs with the machine's clock"
        self.clock.write_text(difference + "\n")


def _iptables(action: str, rule: tuple[str, ...]) -> None:
    subprocess.run(["iptables", "--wait", action, *rule], check=True, capture_output=True)
