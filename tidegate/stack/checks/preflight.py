"""The checks before a start. Each problem is a sentence that says what to do."""

from __future__ import annotations

import shutil
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Final

from tidegate.autoscaler.live.configured_policy import configured_policy
from tidegate.service.model.artefact import ArtefactError, load
from tidegate.settings import Model, Settings, config_file, is_import_string
from tidegate.stack import prometheus
from tidegate.stack.checks.ports import port_problems, required_ports
from tidegate.stack.disk import folder_problem
from tidegate.stack.gateway import haproxy
from tidegate.stack.supervisor.external_elasticsearch import elasticsearch_problem
from tidegate.store.kinds import store_server

DEFAULT_MODEL: Final = Model().path


def model_problem(settings: Settings) -> str:
    """Why the model cannot be served, as far as its files show; empty if it can."""
    path = settings.model.path
    if is_import_string(path):
        return _import_problem("model.path", str(path), settings.service.app_dir)
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


def program_problem(settings: Settings) -> str:
    """Why no replica can start, as far as files show: its model, application or command; empty if one can."""
    if settings.replica_program:
        return command_problem(settings) if settings.replicas.command else app_problem(settings)
    return model_problem(settings)


def app_problem(settings: Settings) -> str:
    """Why the module of `service.app` cannot be found, without importing it; empty if it can."""
    return _import_problem("service.app", settings.service.app, settings.service.app_dir)


def _import_problem(setting: str, target: str, folder: Path) -> str:
    if not folder.is_dir():
        return f"service.app_dir: {folder} is not a folder"
    module = target.partition(":")[0].partition(".")[0]
    if PathFinder.find_spec(module, [str(folder), *sys.path]) or module in sys.builtin_module_names:
        return ""
    return (
        f"{setting}: {target!r}: there is no module {module!r} in {folder} or among the installed packages;"
        " run this in the folder that contains it, or set service.app_dir"
    )


def command_problem(settings: Settings) -> str:
    """Why the program of `replicas.command` cannot be run; empty if it can."""
    program = settings.replicas.command[0]
    if shutil.which(program):
        return ""
    if "/" in program:
        return f"replicas.command: {program} is not an executable file"
    return (
        f"replicas.command: there is no program {program!r} on PATH: install it, or give its path"
    )


def gateway_problem(settings: Settings) -> str:
    """Why HAProxy cannot run with these settings; empty if it can."""
    try:
        binary = haproxy.haproxy_binary()
    except (OSError, RuntimeError) as error:
        return str(error)
    if settings.replicas.min == 0 and not haproxy.supports_waiting():
        return (
            f"replicas.min: 0 needs a HAProxy with Lua, so that requests can wait without a replica; {binary}"
            " has none"
        )
    return ""


def replicas_problem(settings: Settings) -> str:
    """Why no replica would ever start; empty if one would."""
    autoscaler = settings.autoscaler
    if settings.replicas.start > 0 or (autoscaler.enabled and not autoscaler.dry_run):
        return ""
    setting = "autoscaler.dry_run = true" if autoscaler.enabled else "autoscaler.enabled = false"
    return f"replicas.start: with 0 and {setting} no replica would ever start; set it to 1 or more"


def prometheus_problem() -> str:
    """Why Prometheus cannot run; empty if it can."""
    try:
        prometheus.prometheus_binary()
    except (OSError, RuntimeError) as error:
        return str(error)
    return ""


def policy_problem(settings: Settings) -> str:
    """Why the autoscaler could not apply its policy's decisions; empty if it can, or is disabled."""
    autoscaler, slots = settings.autoscaler, settings.slots
    if autoscaler.enabled and slots.max is None and configured_policy(settings).sets_slots:
        return (
            f"autoscaler.policy: {autoscaler.policy!r} changes the slots of replicas: set slots.max above"
            f" slots.per_replica, which is {slots.per_replica}, or use another policy"
        )
    return ""


async def store_problem(settings: Settings) -> str:
    """Why the store cannot be used; empty if it can."""
    if (server := store_server(settings)) is None:
        return ""
    problem = await elasticsearch_problem(server)
    return f"{settings.store.kind}: {problem}; start it, or use --store embedded" if problem else ""


async def start_problems(settings: Settings) -> list[str]:
    """Every problem that prevents a start."""
    found = [
        folder_problem(settings.stack.data_dir),
        replicas_problem(settings),
        gateway_problem(settings),
        prometheus_problem(),
        program_problem(settings),
        policy_problem(settings),
        *port_problems(required_ports(settings)),
        await store_problem(settings),
    ]
    return [problem for problem in found if problem]
