"""What a start needs: `tidegate up` starts nothing while one fails, `tidegate doctor` shows all.

Each text of a failed check is a sentence that says what to do.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from collections.abc import Callable
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Final

import aiohttp

from tidegate.autoscaler.live.configured_policy import configured_policy
from tidegate.checks.ports import port_problems, required_ports
from tidegate.runtime.check_results import Result, failed, ok, problem_or_ok, warn
from tidegate.runtime.http_client import HttpError, elasticsearch_client
from tidegate.runtime.secret_files import SecretFileError
from tidegate.service.model.artefact import ArtefactError, load
from tidegate.settings import Model, Settings, config_file, is_import_string
from tidegate.stack import prometheus
from tidegate.stack.data_folder import Layout
from tidegate.stack.disk import MIB, folder_problem, free_bytes
from tidegate.stack.gateway import haproxy
from tidegate.stack.processes.running_settings import running_settings
from tidegate.store.embedded import folder
from tidegate.store.kinds import store_folder, store_server

DEFAULT_MODEL: Final = Model().path
DISK_BYTES: Final = 2048 * MIB
# Nobody waits as long for a response; in milliseconds it is a common objective.
UNLIKELY_SECONDS: Final = 100.0
SERVER_SECONDS: Final = 5.0
_VERSION: Final = re.compile(r"\d+\.\d+\S*")


async def start_checks(settings: Settings) -> list[Result]:
    """The checks. The paths of the settings are absolute."""
    return [
        # First, because on a full disk the other checks fail with misleading reasons.
        data_folder_check(settings.stack.data_dir),
        replicas_check(settings),
        *objective_check(settings.slo.latency_seconds),
        await installed_check("haproxy", haproxy.haproxy_binary, "-v"),
        await installed_check("prometheus", prometheus.prometheus_binary, "--version"),
        program_check(settings),
        policy_check(settings),
        ports_check(settings),
        *_store_folder(settings),
        *(await _store_server(settings)),
    ]


def data_folder_check(folder: Path) -> Result:
    """Whether the data folder can be written to, and its disk has space."""
    if problem := folder_problem(folder):
        return failed("data folder", problem)
    free = free_bytes(folder)
    text = f"{folder}, {free / 2**30:.1f} GiB free"
    if free < DISK_BYTES:
        return warn("data folder", f"{text}: events and samples may take 2 GiB")
    return ok("data folder", text)


def objective_check(seconds: float) -> list[Result]:
    """A warning if the objective looks like one in milliseconds."""
    if seconds < UNLIKELY_SECONDS:
        return []
    text = (
        f"slo.latency_seconds is {seconds:g} s: if these are milliseconds, set {seconds / 1000:g}"
    )
    return [warn("objective", text)]


def replicas_check(settings: Settings) -> Result:
    """Whether a replica would ever start."""
    autoscaler, start = settings.autoscaler, settings.replicas.start
    if start > 0 or (autoscaler.enabled and not autoscaler.dry_run):
        return ok("first replicas", str(start))
    setting = "autoscaler.dry_run = true" if autoscaler.enabled else "autoscaler.enabled = false"
    return failed(
        "first replicas",
        f"replicas.start: with 0 and {setting} no replica would ever start; set it to 1 or more",
    )


def _store_folder(settings: Settings) -> list[Result]:
    """A store that no collector could write to; damage, which it repairs, is for the doctor."""
    root = store_folder(settings)
    problem = folder.unusable(root) if root else ""
    return [failed("store", problem)] if problem else []


async def installed_check(
    name: str, find: Callable[[], Path], version_flag: str, *, needed: bool = True
) -> Result:
    """Whether a program of the stack is installed and reports its version."""
    try:
        path = find()
        process = await asyncio.create_subprocess_exec(
            str(path),
            version_flag,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
    except (OSError, RuntimeError) as error:
        return failed(name, str(error)) if needed else warn(name, str(error))
    version = _VERSION.search(output.decode(errors="replace"))
    return ok(name, f"{version[0] if version else 'of an unknown version'} ({path})")


def program_check(settings: Settings) -> Result:
    """Whether a replica can start, as far as files show: its model, application or command."""
    service, command = settings.service, settings.replicas.command
    if command:
        return problem_or_ok("replicas", _command_problem(command[0]), settings.replica_program)
    if service.app:
        problem = _import_problem("service.app", service.app, service.app_dir)
        return problem_or_ok("replicas", problem, service.app)
    path = settings.model.path
    return problem_or_ok("model", _model_problem(path, service.app_dir), str(path))


def _model_problem(path: Path, folder: Path) -> str:
    if is_import_string(path):
        return _import_problem("model.path", str(path), folder)
    if path.is_file():
        return ""
    if path.absolute() == DEFAULT_MODEL.absolute() and not path.exists() and config_file() is None:
        return (
            "there is no tidegate.toml here: for an application of your own, `tidegate up --app module:app`;"
            " for a model file, set model.path, as in `TIDEGATE_MODEL__PATH=wine.joblib tidegate up`;"
            " `tidegate train` makes the example model"
        )
    try:
        load(path)
    except ArtefactError as error:
        return str(error)
    return ""


def _import_problem(setting: str, target: str, folder: Path) -> str:
    """Why a module cannot be found, without importing it."""
    if not folder.is_dir():
        return f"service.app_dir: {folder} is not a folder"
    module = target.partition(":")[0].partition(".")[0]
    if PathFinder.find_spec(module, [str(folder), *sys.path]) or module in sys.builtin_module_names:
        return ""
    return (
        f"{setting}: {target!r}: there is no module {module!r} in {folder} or among the installed packages;"
        " run this in the folder that contains it, or set service.app_dir"
    )


def _command_problem(program: str) -> str:
    if shutil.which(program):
        return ""
    if "/" in program:
        return f"replicas.command: {program} is not an executable file"
    return (
        f"replicas.command: there is no program {program!r} on PATH: install it, or give its path"
    )


def policy_check(settings: Settings) -> Result:
    """Whether the autoscaler could apply its policy's decisions."""
    autoscaler, slots = settings.autoscaler, settings.slots
    if autoscaler.enabled and slots.max is None and configured_policy(settings).sets_slots:
        return failed(
            "policy",
            f"autoscaler.policy: {autoscaler.policy!r} changes the slots of replicas: set slots.max above"
            f" slots.per_replica, which is {slots.per_replica}, or use another policy",
        )
    return ok("policy", autoscaler.policy if autoscaler.enabled else "autoscaler.enabled is false")


def ports_check(settings: Settings) -> Result:
    """Whether each port is free, or belongs to the stack that runs in the data folder."""
    layout, ports = Layout(settings.stack.data_dir), required_ports(settings)
    text = f"all {len(ports)} are free"
    if pid := layout.holder():
        used = {one.port for one in required_ports(running_settings(layout, pid) or settings)}
        ports = [one for one in ports if one.port not in used]
        text = f"used by the stack that runs here (pid {pid})"
    return problem_or_ok("ports", "\n".join(port_problems(ports)), text)


async def _store_server(settings: Settings) -> list[Result]:
    if (server := store_server(settings)) is None:
        return []
    kind = settings.store.kind
    try:
        async with aiohttp.ClientSession() as session:
            client = elasticsearch_client(session, server, SERVER_SECONDS)
            # `GET /` needs more privileges, and not every build has it.
            await client.call("GET", "/_cluster/health")
    except (HttpError, SecretFileError) as error:
        refused = isinstance(error, HttpError) and error.status in {401, 403}
        why = "; store.elasticsearch.username lacks the privilege" if refused else ""
        return [failed(kind, f"{kind}: {error}{why}; start it, or use --store embedded")]
    return [ok(kind, f"{server.url} answers")]
