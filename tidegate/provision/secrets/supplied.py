"""Custom values of secrets: one file for each, named after the secret."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tidegate.provision.errors import reason
from tidegate.provision.secrets.inventory import Secret


def read_supplied(folder: Path, table: Sequence[Secret]) -> tuple[dict[str, str], list[str]]:
    """The values by name, and a sentence for each invalid file.

    A missing folder supplies nothing. Names that begin with a dot are ignored: a folder under version control
    has a `.gitignore`.
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
            problems.append(f"{path}: unknown secret; expected one of {', '.join(known)}")
            continue
        try:
            with path.open("rb") as file:
                # Up to four bytes per character, a newline, and one byte more to detect a longer value.
                raw = file.read(4 * secret.max_length + 2)
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
    """Why a value is invalid; empty if it is valid. The text does not contain the value."""
    if not value:
        return "is empty"
    # Values appear in HTTP headers, YAML files and environment variables; all of these allow such characters.
    if not all("!" <= character <= "~" for character in value):
        return "must be one line of printable ASCII characters without a space"
    if "$" in value:
        return "must not contain `$`: Grafana, Kibana and Logstash would expand it as a variable"
    if len(value) < secret.min_length:
        return f"is too short: {len(value)} characters, the minimum is {secret.min_length}"
    if len(value) > secret.max_length:
        return f"is too long: the maximum is {secret.max_length} characters"
    return ""
