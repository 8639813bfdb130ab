"""The commands of the documentation: each is valid, and runs in a test or is in a block marked `not-run`.

A block ```` ```console ```` holds only commands that a test runs: `RUN` has each. A block
```` ```console not-run ```` holds commands that no test runs. In both, the real command line parses the
commands of `tidegate` and `tidegate loadgen`, and `make` targets, Compose services and benches must exist.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

import tidegate.cli
import tidegate.loadgen.cli

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for page in (*ROOT.glob("*.md"), ROOT / "bench" / "RESULTS.md", *(ROOT / "docs").rglob("*.md"))
    if page.name != "CHANGELOG.md"
)
BLOCK = re.compile(r"^ *```console([^\n]*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))

# The page and the start of each command that a test runs: of tests/integration/compose/test_stack_file.py,
# tests/e2e/test_tutorials.py and tests/integration/service/test_running.py.
RUN: tuple[tuple[str, str], ...] = (
    ("docs/tutorials/compose.md", "echo TIDEGATE_DEVICE"),
    ("docs/tutorials/compose.md", "docker compose up"),
    ("docs/tutorials/compose.md", "docker compose --profile load"),
    ("docs/tutorials/compose.md", "docker compose ps"),
    ("docs/tutorials/compose.md", "docker compose --profile tools run --rm tidegate explain"),
    ("docs/tutorials/own-model.md", ""),
    ("docs/tutorials/own-application.md", ""),
    ("README.md", "curl http://127.0.0.1:8000/"),
    ("docs/reference/http.md", "curl http://127.0.0.1:8000/"),
)
# Programs of the system, whose options are not checked.
SYSTEM = re.findall(
    r"\w+",
    "awk basename cat cp curl cut date df docker du echo export for git grep head helm jq kill kubectl "
    "kustomize ls mkdir openssl pip promtool ps rm sed seq sh sort source ss tail tar tee top uvicorn",
)


@dataclass(frozen=True, slots=True)
class Block:
    """One block of commands."""

    page: Path
    line: int
    marks: tuple[str, ...]
    commands: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks() -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in BLOCK.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield Block(page, line, tuple(found[1].split()), tuple(commands(found[2])))


def commands(block: str) -> Iterator[str]:
    """The commands of a block, without their output; one may have several lines."""
    lines = iter(block.splitlines())
    for line in lines:
        if not line.lstrip().startswith("$ "):
            continue
        command = line.lstrip()[2:]
        while is_open(command):
            command += "\n" + next(lines)
        yield command


def is_open(command: str) -> bool:
    """Whether the command goes on in the next line."""
    if command.endswith(("\\", "|")) or (command.startswith("for ") and "done" not in command):
        return True
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return True
    return False


def simple_commands(command: str) -> Iterator[list[str]]:
    """The words of each program call in a pipeline or list, without variables, comments and redirections."""
    command = re.sub(r"\$\(\(.*?\)\)", "0", command.replace("\\\n", " "))
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|&;()<>\n")
    lexer.whitespace_split = True
    lexer.whitespace = " \t"
    words: list[str] = []
    for word in (*lexer, ";"):
        if set(word) <= set("|&;()\n"):
            if call := without_variables(words):
                yield call
            words = []
        else:
            words.append(word)


def without_variables(words: list[str]) -> list[str]:
    while words and (re.match(r"\w+=", words[0]) or words[0] in {"do", "done", "then", "fi"}):
        words = words[1:]
    return words[: next((at for at, word in enumerate(words) if word[0] in "<>"), len(words))]


def check(words: list[str]) -> None:
    """Fail if the call is not valid."""
    program, *arguments = words
    if program == "tidegate":
        parse(typer.main.get_command(tidegate.cli.app), arguments)
    elif program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        for argument in arguments:
            assert "=" in argument or argument in targets, f"unknown target {argument}"
    elif program in {"python", "python3"}:
        check_python(arguments)
    elif program == "docker" and arguments[:1] == ["compose"]:
        check_compose(arguments[1:])
    elif program.startswith("scripts/"):
        assert (ROOT / program).exists(), program
    else:
        assert program in SYSTEM, f"unknown program {program}"


def parse(command: Any, arguments: list[str]) -> None:
    """Parse the arguments as the program would, without running it."""
    at = command
    rest = arguments
    if command.name == "tidegate" and arguments[:1] == ["loadgen"]:
        # Its arguments are another program's.
        at, rest = typer.main.get_command(tidegate.loadgen.cli.app), arguments[1:]
    while hasattr(at, "commands"):
        assert rest, f"{at.name} needs a command"
        assert rest[0] in at.commands, f"unknown command {' '.join(arguments)}"
        at, rest = at.commands[rest[0]], rest[1:]
    at.make_context(at.name, list(rest), resilient_parsing=False)


def check_python(arguments: list[str]) -> None:
    if arguments[:2] == ["-m", "tidegate.loadgen"]:
        parse(typer.main.get_command(tidegate.loadgen.cli.app), arguments[2:])
        return
    if arguments[0] == "-m":
        module = ROOT / arguments[1].replace(".", "/")
        files = [
            each for each in (module.with_suffix(".py"), module / "__main__.py") if each.exists()
        ]
        assert files, arguments
        if arguments[1].startswith("bench."):
            source = files[0].read_text("utf-8")
            unknown = [word for word in arguments if word.startswith("--") and word not in source]
            assert not unknown, unknown


def check_compose(arguments: list[str]) -> None:
    """The profile, the service and the command of a call of Docker Compose exist."""
    services = COMPOSE["services"]
    while arguments[0] == "-f":
        assert (ROOT / arguments[1]).is_file(), arguments
        arguments = arguments[2:]
    if arguments[0] == "--profile":
        assert any(arguments[1] in one.get("profiles", ()) for one in services.values()), arguments
        arguments = arguments[2:]
    verb, *rest = arguments
    if verb not in {"exec", "run"}:
        flags = {"--tail", "--since", "--scale", "--wait-timeout", "--time", "--timeout"}
        named = [
            word
            for word, before in zip(rest, ["", *rest], strict=False)
            if not word.startswith("-") and before not in flags
        ]
        assert set(named) <= set(services), set(named) - set(services)
        return
    while rest[0].startswith("-"):
        rest = rest[2:] if rest[0] in {"--entrypoint", "--env", "-e", "--volume"} else rest[1:]
    service, *call = rest
    assert service in services, f"unknown service {service}"
    if "--entrypoint" in arguments or not call:
        return
    entrypoint = {"loadgen": tidegate.loadgen.cli.app}.get(service, tidegate.cli.app)
    if verb == "run" and services[service].get("image", "").startswith("tidegate/"):
        parse(typer.main.get_command(entrypoint), call)
    elif call[0] == "tidegate":
        parse(typer.main.get_command(tidegate.cli.app), call[1:])


BLOCKS = tuple(blocks())


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_the_commands_of_a_block_are_valid(block: Block) -> None:
    assert block.commands, "a console block shows commands with `$`"
    for command in block.commands:
        for words in simple_commands(command):
            check(words)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_runs_in_a_test_or_is_marked(block: Block) -> None:
    assert set(block.marks) <= {"not-run"}, block.marks
    not_run = [
        command
        for command in block.commands
        if not any(block.page.match(page) and command.startswith(start) for page, start in RUN)
    ]
    if "not-run" in block.marks:
        assert not_run, "a test runs every command of this block: remove the mark"
    else:
        assert not_run == [], "no test runs this: mark the block `not-run`, or add it to RUN"
