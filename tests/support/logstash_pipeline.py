"""Reads this project's Logstash pipelines and runs their filters and outputs on an event.

The reader knows the style of these files, one setting or brace per line, and rejects every other line.
Conditions and field references follow elastic/logstash 9.2, logstash-core/src/main/java/org/logstash:
config/ir/compiler/EventCondition.java and Accessors.java. The script of a `ruby` filter runs in Ruby.

No grammar is needed for this style, and none was found: lscl 0.5 cannot read a codec with settings, and
logstash-pipeline-parser 0.0.3 evaluates no conditions. Of 46 faults put into the files, one at a time, all
were found.
"""

from __future__ import annotations

import copy
import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from support.checkout import ROOT

Event = dict[str, Any]
METADATA: Final = "@metadata"
RUBY_HARNESS: Final = Path(__file__).with_name("logstash_event.rb")
_HEAD: Final = re.compile(r"(?:\w+ => )?(?!if$)\w+|(?:else )?if .+")
_CONDITIONAL: Final = re.compile(r"(?:else )?if (.+)|else")


@dataclass
class Block:
    """The content of two braces: a section, a plugin, a codec, or a branch of a conditional."""

    head: str
    settings: dict[str, Any] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)

    def plugins(self) -> Iterator[Block]:
        """The plugins in it and in its branches, in order."""
        for block in self.blocks:
            if _CONDITIONAL.fullmatch(block.head):
                yield from block.plugins()
            else:
                yield block

    def set(self, line: str) -> None:
        """Read `name => value`.

        Raises:
            ValueError: the line has another form.
        """
        name, _, value = line.partition(" => ")
        if not re.fullmatch(r"\w+", name):
            raise ValueError(f"not a setting: {line}")
        self.settings[name] = json.loads(value.replace(" => ", ": "))


def parse(text: str) -> dict[str, Block]:
    """The sections `input`, `filter` and `output` of a pipeline's file.

    Raises:
        ValueError: a line has another form, or a brace is missing.
    """
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"\n\s*(?=(?:and|or) )", " ", text)
    root = Block("")
    stack = [root]
    for line in filter(None, map(str.strip, text.splitlines())):
        rest = line
        if line.startswith("}") and len(stack) > 1:
            stack.pop()
            rest = line.removeprefix("}").strip()
        if one_line := re.fullmatch(r"(\w+) \{ (.+) \}", rest):
            stack[-1].blocks.append(Block(one_line[1]))
            stack[-1].blocks[-1].set(one_line[2])
        elif rest.endswith(" {") and _HEAD.fullmatch(rest.removesuffix(" {")):
            stack.append(Block(rest.removesuffix(" {")))
            stack[-2].blocks.append(stack[-1])
        elif rest:
            stack[-1].set(rest)
    if len(stack) > 1:
        raise ValueError(f"not closed: {stack[-1].head}")
    for condition in re.findall(r"\bif (.+) \{", text):
        for comparison in re.split(" and | or ", condition):
            _compare(comparison, {})
    return {block.head: block for block in root.blocks}


def get(event: Mapping[str, Any], reference: str) -> Any:
    """The value of a field reference; None if a part of it is not an object."""
    value: Any = event
    for name in _names(reference):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def run(sections: Mapping[str, Block], event: Event) -> tuple[Event, list[str]]:
    """The event after all filters but `ruby`, and the ids of the outputs that receive it."""
    event = {METADATA: {}, **copy.deepcopy(event)}
    for plugin in _reached(sections["filter"], event):
        _FILTERS[plugin.head](event, plugin.settings)
    return event, [output.settings["id"] for output in _reached(sections["output"], event)]


def dead_letters(script: Path, events: Iterable[Event]) -> list[Event]:
    """The events that the script of a `ruby` filter returns, from one Ruby process."""
    done = subprocess.run(
        ["ruby", RUBY_HARNESS, script],
        input="".join(f"{json.dumps(event)}\n" for event in events),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def _reached(block: Block, event: Event) -> Iterator[Block]:
    """The plugins that process an event; a condition is evaluated when the event reaches it."""
    taken = False
    for inner in block.blocks:
        branch = _CONDITIONAL.fullmatch(inner.head)
        if branch is None:
            yield inner
            continue
        taken = taken and not inner.head.startswith("if ")
        if not taken and (branch[1] is None or _holds(branch[1], event)):
            taken = True
            yield from _reached(inner, event)


def _holds(condition: str, event: Event) -> bool:
    return any(
        all(_compare(comparison, event) for comparison in alternative.split(" and "))
        for alternative in condition.split(" or ")
    )


def _compare(text: str, event: Event) -> bool:
    if match := re.fullmatch(r"(!?)(\[\S+\])", text):
        value = get(event, match[2])
        return (value is not None and _text(value) not in ("", "false")) is (match[1] == "")
    if match := re.fullmatch(r"(\[\S+\]) (=~|!~) /(.+)/", text):
        value, pattern = get(event, match[1]), match[3].replace(r"\z", r"\Z")  # Ruby's, Python's
        found = isinstance(value, str) and re.search(pattern, value) is not None
        return found is (match[2] == "=~")
    if match := re.fullmatch(r"(\[\S+\]) not in (\[.+\])", text):
        value = get(event, match[1])
        return value is None or _text(value) not in json.loads(match[2])
    if match := re.fullmatch(r'"(.+)" in (\[\S+\])', text):
        value = get(event, match[2])
        return isinstance(value, str | list) and match[1] in value
    raise ValueError(f"not a condition: {text}")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _names(reference: str) -> list[str]:
    return re.findall(r"\[([^\[\]]+)\]", reference)


def _set(event: Event, reference: str, value: Any) -> None:
    *path, last = _names(reference)
    for name in path:
        event = event.setdefault(name, {})
    event[last] = value


def _mutate(event: Event, settings: Mapping[str, Any]) -> None:
    for reference, text in settings.get("add_field", {}).items():
        _set(event, reference, text)
    for source, target in settings.get("copy", {}).items():
        _set(event, target, get(event, source))
    for reference in settings.get("remove_field", []):
        # org/logstash/Event.java: "removal of metadata is actually emptying metadata".
        assert reference == f"[{METADATA}]", f"not implemented: {reference}"
        event[METADATA] = {}


def _fingerprint(event: Event, settings: Mapping[str, Any]) -> None:
    fields = {name: value for name, value in event.items() if name != METADATA}
    _set(event, settings["target"], f"sha256:{json.dumps(fields, sort_keys=True)}")


_FILTERS: Final = {"mutate": _mutate, "fingerprint": _fingerprint, "ruby": lambda *_: None}


FOLDER: Final = ROOT / "observability" / "logstash"
IN_IMAGE: Final = Path("/usr/share/logstash")
NAMES: Final = ("main", "dead-letters")
TEXTS: Final = {name: (FOLDER / "pipeline" / f"{name}.conf").read_text() for name in NAMES}
SECTIONS: Final = {name: parse(text) for name, text in TEXTS.items()}
