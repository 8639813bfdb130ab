"""Values that a person gives for secrets: one file each, named as the secret."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tidegate.provision.problems import reason
from tidegate.provision.secrets.inventory import Secret


def read_given(folder: Path, table: Sequence[Secret]) -> tuple[dict[str, str], list[str]]:
    """The values by name, and a sentence for each file that cannot be taken.

    A folder that is not there gives nothing. Names that begin with a dot are not looked at: a folder kept
    in version control has a `.gitignore`.
    """
    known = {secret.name: secret for secret in table}
    values: dict[str, str] = {}
    problems: list[str] = []
    try:
        files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return {}, []
    except OSError as error:
        return {}, [f"{folder} cannot be read: {reason(error)}"]
    for path in files:
        secret = known.get(path.name)
        if secret is None:
            problems.append(
                f"{path}: there is no secret of this name; there are {', '.join(known)}"
            )
            continue
        try:
            with path.open("rb") as file:
                # Twice a character's four bytes and a newline: more is too long in any case.
                raw = file.read(4 * secret.most + 2)
        except OSError as error:
            problems.append(f"{path} cannot be read: {reason(error)}")
            continue
        value = raw.decode("utf-8", "replace").removesuffix("\n")
        if problem := value_problem(value, secret):
            problems.append(f"{path}: {problem}")
        else:
            values[secret.name] = value
    return values, problems


def value_problem(value: str, secret: Secret) -> str:
    """Why a value cannot be taken; empty if it can. It never repeats the value."""
    if not value:
        return "is empty"
    # Header fields, YAML files and environment variables carry them: this is what all of those agree on.
    if not all("!" <= character <= "~" for character in value):
        return "must be one line of printable ASCII characters without a space"
    if "$" in value:
        return "may not hold a `$`: Grafana, Kibana and Logstash would take it for a variable"
    if len(value) < secret.least:
        return f"is too short: {len(value)} characters, {secret.least} are needed"
    if len(value) > secret.most:
        return f"is too long: {secret.most} characters are the most"
    return ""
