"""Runs the filters and outputs of a pipeline on an event, as far as this project's pipelines need it.

The rules are those of elastic/logstash 9.2, logstash-core/src/main/java/org/logstash: conditions as in
config/ir/compiler/EventCondition.java, field references as in Accessors.java. The script of a `ruby` filter
runs in Ruby.
"""

from __future__ import annotations

import copy
import json
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import pyparsing as pp

from support import logstash_config

Event = dict[str, Any]
METADATA: Final = "@metadata"
HARNESS: Final = Path(__file__).with_name("logstash_event.rb")


def get(event: Mapping[str, Any], reference: str) -> Any:
    """The value of a field reference; None if it leads through anything but objects."""
    value: Any = event
    for name in re.findall(r"\[([^\[\]]+)\]", reference):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def holds(condition: str, event: Event) -> bool:
    """Whether an event fulfils a condition."""
    return bool(_CONDITION.parse_string(condition, parse_all=True)[0](event))


def run(sections: Iterable[logstash_config.Section], event: Event) -> tuple[Event, list[str]]:
    """The event after all filters but `ruby`, and the ids of the outputs that it goes to."""
    event = {METADATA: {}, **copy.deepcopy(event)}
    reached: list[str] = []
    for section in sections:
        if section.kind == "filter":
            _walk(section.body, event, _filter)
        elif section.kind == "output":
            _walk(section.body, event, lambda output, _: reached.append(output.settings["id"]))
    return event, reached


def dead_letters(script: Path, events: Iterable[Event]) -> list[Event]:
    """What a script of a `ruby` filter makes of events; all in one process."""
    done = subprocess.run(
        ["ruby", HARNESS, script],
        input="".join(f"{json.dumps(event)}\n" for event in events),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def _walk(
    body: Iterable[logstash_config.Plugin | logstash_config.Branch],
    event: Event,
    visit: Callable[[logstash_config.Plugin, Event], None],
) -> None:
    """Visit the plugins that an event comes to; each condition is asked when it is reached."""
    taken = False
    for one in body:
        if isinstance(one, logstash_config.Plugin):
            visit(one, event)
            continue
        taken = taken and not one.first
        if not taken and (one.condition == "else" or holds(one.condition, event)):
            taken = True
            _walk(one.body, event, visit)


def _filter(plugin: logstash_config.Plugin, event: Event) -> None:
    settings = plugin.settings
    match plugin.name:
        case "mutate":
            for reference, text in settings.get("add_field", {}).items():
                _set(event, reference, text)
            for source, target in settings.get("copy", {}).items():
                _set(event, target, get(event, source))
        case "fingerprint":
            fields = {name: value for name, value in event.items() if name != METADATA}
            _set(event, settings["target"], f"sha256:{json.dumps(fields, sort_keys=True)}")
        case "ruby":  # see dead_letters
            pass
        case other:
            raise NotImplementedError(other)


def _set(event: Event, reference: str, value: Any) -> None:
    *path, last = re.findall(r"\[([^\[\]]+)\]", reference)
    for name in path:
        event = event.setdefault(name, {})
    event[last] = value


def _truthy(value: Any) -> bool:
    return value is not None and _text(value) not in ("", "false")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _matches(value: Any, regexp: str) -> bool:
    # Python's \Z is Ruby's \z.
    return isinstance(value, str) and bool(re.search(regexp.replace(r"\z", r"\Z"), value))


def _grammar() -> pp.ParserElement:
    selector = pp.Regex(r"(\[[^\[\],\"]+\])+")
    text = pp.QuotedString('"')
    regexp = pp.QuotedString("/")
    texts = pp.Suppress("[") + pp.Group(pp.DelimitedList(text)) + pp.Suppress("]")

    def rule(
        pattern: pp.ParserElement, test: Callable[[Event, list[Any]], bool]
    ) -> pp.ParserElement:
        return pattern.set_parse_action(lambda t: lambda event, t=t.as_list(): test(event, t))

    word, no = pp.Keyword, pp.Suppress
    comparison = (
        rule(selector + no("=~") + regexp, lambda e, t: _matches(get(e, t[0]), t[1]))
        | rule(selector + no("!~") + regexp, lambda e, t: not _matches(get(e, t[0]), t[1]))
        | rule(
            selector + no(word("not")) + no(word("in")) + texts,
            lambda e, t: get(e, t[0]) is None or _text(get(e, t[0])) not in t[1],
        )
        | rule(text + no(word("in")) + selector, lambda e, t: _contains(get(e, t[1]), t[0]))
        | rule(no("!") + selector, lambda e, t: not _truthy(get(e, t[0])))
        | rule(selector.copy(), lambda e, t: _truthy(get(e, t[0])))
    )
    both = pp.DelimitedList(comparison, delim=no(word("and"))).set_parse_action(_joined(all))
    return pp.DelimitedList(both, delim=no(word("or"))).set_parse_action(_joined(any))


def _contains(value: Any, text: str) -> bool:
    return isinstance(value, str | list) and text in value


def _joined(how: Callable[[Iterable[bool]], bool]) -> Callable[[pp.ParseResults], Any]:
    return lambda t: lambda event, parts=t.as_list(): how(part(event) for part in parts)


_CONDITION: Final = _grammar()
