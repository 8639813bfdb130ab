"""`tidegate setup config`: the configuration and rules of Prometheus for the current settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from tidegate.provision.commands import Report
from tidegate.provision.errors import ProvisionError, reason
from tidegate.rules.prometheus_config import HOST_JOBS, REPLICA_JOB, render_config
from tidegate.rules.rule_files import write_rule_files
from tidegate.settings import Settings

HOSTS: Final = {name: name for name in HOST_JOBS}
TARGETS: Final = (REPLICA_JOB, *HOST_JOBS)
RETENTION_SIZE: Final = "2GB"


def set_up(
    settings: Settings, folder: Path, targets: Sequence[str], report: Report, *, ipv6: bool = False
) -> None:
    """Write the configuration for targets JOB=NAME, the DNS name of a job's targets, and report each file.

    Without targets it is for the services of Compose.
    """
    for line in write_config(settings, folder, parse_targets(targets), "AAAA" if ipv6 else "A"):
        report(line)


def parse_targets(options: Sequence[str]) -> dict[str, str]:
    """The DNS names of the jobs' targets, from options JOB=NAME."""
    found: dict[str, str] = {}
    for option in options:
        job, _, name = option.partition("=")
        if job not in TARGETS or not name:
            raise ProvisionError(
                f"--target {option}: must be JOB=NAME, where JOB is one of {', '.join(TARGETS)}"
            )
        if job in found:
            raise ProvisionError(f"--target {option}: {job} has the name {found[job]} already")
        found[job] = name
    if found and REPLICA_JOB not in found:
        raise ProvisionError(
            f"--target: the name of {REPLICA_JOB} is missing, such as model=replicas"
        )
    return found


def write_config(
    settings: Settings,
    folder: Path,
    targets: Mapping[str, str] | None = None,
    dns_type: Literal["A", "AAAA"] = "A",
) -> list[str]:
    """Write prometheus.yml and its rules, including custom rule files.

    Args:
        settings: the settings.
        folder: created if it is missing.
        targets: the DNS name of each job's targets, as in Kubernetes; jobs without one are not scraped.
            Empty means the services of Compose.
        dns_type: the record type of these names.

    Returns:
        A line for each written file or folder.
    """
    home = folder / "prometheus"
    if special := set(str(home.absolute())) & set("*?[\\"):
        raise ProvisionError(
            f"{home.absolute()}: Prometheus takes the folder of its configuration as a pattern, and would"
            f" load no rule from one with {' or '.join(sorted(special))} in its path: use another folder"
        )
    try:
        write_rule_files(settings, home / "rules")
        if settings.ray.ingress == "none":
            text = render_config(
                settings,
                hosts={name: host for name, host in targets.items() if name != REPLICA_JOB}
                if targets
                else HOSTS,
                dns_name=targets[REPLICA_JOB] if targets else REPLICA_JOB,
                discover=bool(targets),
                dns_type=dns_type,
                retention_size=RETENTION_SIZE,
            )
        else:  # everything is on this machine, or in the files that Ray and the replicas write
            text = render_config(settings)
        (home / "prometheus.yml").write_text(text, encoding="utf-8")
    except FileNotFoundError as error:
        raise ProvisionError(str(error)) from error
    except OSError as error:
        raise ProvisionError(f"{folder} cannot be written: {reason(error)}") from error
    rules = len(list((home / "rules").iterdir()))
    return [f"{home / 'prometheus.yml'}: written", f"{home / 'rules'}: {rules} files written"]
