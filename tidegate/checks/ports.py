"""Checks before a start that every port is free, and finds the process that uses one."""

from __future__ import annotations

import errno
import socket
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import psutil

from tidegate.settings import Settings
from tidegate.settings.sources import variable
from tidegate.stack.data_folder import Layout
from tidegate.stack.processes.environment import CONFIG
from tidegate.stack.supervisor.programs import console_problem

LOCAL = "127.0.0.1"
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
DATA_DIR = variable("stack.data_dir")
MOST_SHIFT = 1000
TWICE = ("replicas.first_port", "telemetry.metrics_port", "gateway.metrics_port")


@dataclass(frozen=True, slots=True)
class RequiredPort:
    """A port that the stack needs, and its setting."""

    setting: str
    host: str
    port: int


def required_ports(settings: Settings) -> list[RequiredPort]:
    """Every port of the stack."""
    host = settings.stack.host
    ports = [
        RequiredPort("gateway.port", host, settings.gateway.port),
        RequiredPort("gateway.metrics_port", LOCAL, settings.gateway.metrics_port),
        RequiredPort("prometheus.port", host, settings.prometheus.port),
        RequiredPort("collector.metrics_port", LOCAL, settings.collector.metrics_port),
    ]
    if settings.autoscaler.enabled:
        ports.append(
            RequiredPort("autoscaler.metrics_port", LOCAL, settings.autoscaler.metrics_port)
        )
    if settings.drift.watch:
        ports.append(RequiredPort("drift.watch_port", LOCAL, settings.drift.watch_port))
    if not console_problem(settings):
        ports.append(RequiredPort("console.port", host, settings.console.port))
    first = settings.replicas.first_port
    for offset in range(settings.replicas.max + 1):  # one more, for a rollout
        name = f"replicas.first_port + {offset}" if offset else "replicas.first_port"
        ports.append(RequiredPort(name, LOCAL, first + offset))
    if (own := settings.telemetry.metrics_port) is not None:
        for offset in range(settings.replicas.max + 1):
            name = f"telemetry.metrics_port + {offset}" if offset else "telemetry.metrics_port"
            ports.append(RequiredPort(name, settings.stack.metrics_host, own + offset))
    return ports


def beside(settings: Settings, running: Settings) -> Settings:
    """The settings of a stack that replaces the running one, with free ports for what both have for a time.

    These are the replicas' and the gateway's for metrics; the others pass from one to the other.
    """
    used = {required.port for required in required_ports(running)}
    for shift in range(MOST_SHIFT):
        found = settings.model_copy(
            update={
                section: getattr(settings, section).model_copy(update={name: port + shift})
                for section, name, port in (
                    ("replicas", "first_port", settings.replicas.first_port),
                    ("gateway", "metrics_port", settings.gateway.metrics_port),
                    ("telemetry", "metrics_port", settings.telemetry.metrics_port),
                )
                if port is not None
            }
        )
        own = [one for one in required_ports(found) if one.setting.startswith(TWICE)]
        if not used & {one.port for one in own} and not port_problems(own):
            return found
    return settings


def port_problems(ports: list[RequiredPort]) -> list[str]:
    """A sentence for each port that is not available, and one for each other stack; empty if all are free."""
    problems = []
    users: dict[int, list[str]] = defaultdict(list)
    stacks: dict[str, list[str]] = defaultdict(list)
    for required in ports:
        users[required.port].append(required.setting)
    for port, settings in users.items():
        if len(settings) > 1:
            problems.append(f"port {port} is set twice: by {' and by '.join(settings)}")
    for required in ports:
        if len(users[required.port]) > 1:
            continue
        text = f"port {required.port} ({required.setting})"
        if required.port > 65535:
            problems.append(f"{text} is invalid: the highest port is 65535")
        elif error := _bind_error(required):
            if error.errno != errno.EADDRINUSE:
                problems.append(f"{text} {_refusal(required, error)}")
            elif (owner := _owner(required.port)) and owner.data_dir:
                stacks[owner.data_dir].append(f"{required.port} ({required.setting})")
            else:
                by = owner.process if owner else _unseen(required.port)
                setting = required.setting.partition(" ")[0]
                problems.append(f"{text} is used by {by}: stop it, or set {setting} to a free port")
    problems += [
        f"another stack, in {folder}, uses the ports {', '.join(used)}: stop it with "
        f"`{_stop_command(Path(folder), ports)}`, or set other ports here"
        for folder, used in stacks.items()
    ]
    return problems


def _unseen(port: int) -> str:
    """Who uses a port without a process that can be seen."""
    try:
        first, last = map(int, EPHEMERAL.read_text().split())
    except (OSError, ValueError):
        first, last = 1, 0
    known = f", or a connection (clients get the ports from {first} to {last})"
    return f"a process of another user{known if first <= port <= last else ''}"


def _stop_command(folder: Path, ports: list[RequiredPort]) -> str:
    lost = None if Layout(folder).holder() else lost_supervisor(folder, ports)
    return f"kill {lost}" if lost else f"{DATA_DIR}={folder} tidegate down"


def lost_stack(settings: Settings) -> str:
    """What to do about a stack that runs without its data folder; empty if there is none."""
    folder = settings.stack.data_dir
    pid = lost_supervisor(folder, required_ports(settings))
    if pid is None:
        return ""
    return (
        f"the stack of {folder} runs (pid {pid}), but the folder was removed or replaced: stop it with"
        f" `kill {pid}`"
    )


def lost_supervisor(folder: Path, ports: list[RequiredPort]) -> int | None:
    """The pid of a supervisor whose programs use one of the ports and belong to a data folder.

    Without the lock, which is in the folder, a stack whose folder was removed or replaced is found by them.
    """
    for required in ports:
        owner = _owner(required.port) if _bind_error(required) else None
        if owner and owner.data_dir == str(folder):
            return _supervisor(psutil.Process(owner.pid))
    return None


def _supervisor(program: psutil.Process) -> int:
    """The highest ancestor in the same data folder, or its parent if that is a `tidegate up`."""
    folder = _data_dir(program)
    while (parent := program.parent()) and folder and _data_dir(parent) == folder:
        program = parent
    if parent and _is_supervisor(parent):
        program = parent
    return program.pid


def _is_supervisor(process: psutil.Process) -> bool:
    try:
        words = process.cmdline()
    except (psutil.Error, OSError):
        return False
    return "up" in words and any(Path(word).name == "tidegate" for word in words)


def _bind_error(required: RequiredPort) -> OSError | None:
    family = socket.AF_INET6 if ":" in required.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As the programs do: a port with connections in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((required.host, required.port))
    except OSError as error:
        return error
    return None


def _refusal(required: RequiredPort, error: OSError) -> str:
    if error.errno == errno.EACCES:
        return "needs root privileges: choose one from 1024 on"
    return f"cannot be opened on {required.host} (stack.host): {error.strerror}"


@dataclass(frozen=True, slots=True)
class _PortOwner:
    """The process that uses a port; `data_dir` is its data folder if it belongs to a stack."""

    pid: int
    process: str
    data_dir: str


def _owner(port: int) -> _PortOwner | None:
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.pid:
                process = psutil.Process(connection.pid)
                command = " ".join(process.cmdline())[:80] or process.name()
                return _PortOwner(
                    process.pid, f"process {process.pid} ({command})", _data_dir(process)
                )
    except (psutil.Error, OSError):
        pass
    return None


def _data_dir(process: psutil.Process) -> str:
    """The data folder of the stack that a process is a program of; empty if it is of none."""
    try:
        # The environment of every program of a stack contains all settings.
        variables = process.environ()
    except (psutil.Error, OSError):
        return ""
    folder = variables.get(DATA_DIR, "")
    # If the user exported the folder, it is in the environment of shells, too. The file is only of programs.
    file = Layout(Path(folder)).run / "settings.toml"
    return folder if variables.get(CONFIG) == str(file) else ""
