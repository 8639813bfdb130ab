"""Reads Logstash's configuration language, as far as a test needs it: plugins, their settings, conditions.

Logstash itself cannot be had on every machine. The grammar follows "Structure of a pipeline" and "Accessing
event data and fields" in its reference, and refuses what does not fit it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyparsing as pp


@dataclass
class Plugin:
    """A plugin with its settings; a codec is a plugin too."""

    name: str
    settings: dict[str, Any]


@dataclass
class Branch:
    """`if`, `else if` or `else` (without a condition), and what it holds.

    Attributes:
        first: it is an `if`, so no branch before it belongs to it.
    """

    condition: str
    body: list[Plugin | Branch] = field(default_factory=list)
    first: bool = False


@dataclass
class Section:
    """`input`, `filter` or `output`."""

    kind: str
    body: list[Plugin | Branch]

    def plugins(self) -> Iterator[tuple[str, Plugin]]:
        """Each plugin, with the conditions on its way joined by `and`."""
        yield from _walk(self.body, "")


def _walk(body: list[Plugin | Branch], way: str) -> Iterator[tuple[str, Plugin]]:
    for one in body:
        if isinstance(one, Plugin):
            yield way, one
        else:
            yield from _walk(one.body, f"{way} and {one.condition}" if way else one.condition)


def _grammar() -> pp.ParserElement:
    def word(text: str) -> pp.ParserElement:
        return pp.Suppress(text)

    string = pp.QuotedString('"', esc_char="\\", unquote_results=True) | pp.QuotedString("'")
    number = pp.Regex(r"-?\d+(\.\d+)?").set_parse_action(
        lambda t: float(t[0]) if "." in t[0] else int(t[0])
    )
    bare = pp.Regex(r"[A-Za-z_][A-Za-z0-9_]*")
    value = pp.Forward()
    array = pp.Group(word("[") + pp.Optional(pp.DelimitedList(value)) + word("]"))
    array.set_parse_action(lambda t: [t[0].as_list()])
    pair = pp.Group((string | bare) + word("=>") + value)
    table = (word("{") + pp.ZeroOrMore(pair) + word("}")).set_parse_action(
        lambda t: [dict(one.as_list() for one in t)]
    )
    setting = pp.Group(bare + word("=>") + value)
    other = ~pp.Keyword("if") + ~pp.Keyword("else") + bare
    plugin = (other + word("{") + pp.ZeroOrMore(setting) + word("}")).set_parse_action(
        lambda t: Plugin(t[0], dict(one.as_list() for one in t[1:]))
    )
    value <<= plugin | array | table | string | number | bare

    selector = pp.Regex(r"(\[[^\[\],]+\])+")
    regexp = pp.Regex(r"/(\\/|[^/\n])*/")
    quoted = pp.Regex(r'"[^"\n]*"')
    operand = selector | quoted | pp.Regex(r"-?\d+")
    listed = pp.Regex(r'\[\s*"[^"\n]*"(\s*,\s*"[^"\n]*")*\s*\]')
    comparison = (
        operand + pp.one_of("== != <= >= < >") + operand
        | operand + pp.one_of("=~ !~") + regexp
        | operand + pp.Optional(pp.Literal("not")) + pp.Literal("in") + (listed | selector)
        | operand
    )
    condition = pp.Forward()
    term = pp.Optional(pp.Literal("!")) + (
        pp.Literal("(") + condition + pp.Literal(")") | comparison
    )
    condition <<= term + pp.ZeroOrMore(pp.one_of("and or xor nand") + term)
    said = pp.original_text_for(condition).add_parse_action(lambda t: " ".join(t[0].split()))

    body = pp.Forward()
    block = word("{") + body + word("}")
    first = (pp.Keyword("if").suppress() + said + block).set_parse_action(
        lambda t: Branch(t[0], list(t[1:]), first=True)
    )
    others = (
        pp.Keyword("else").suppress() + pp.Keyword("if").suppress() + said + block
    ).set_parse_action(lambda t: Branch(t[0], list(t[1:])))
    last = (pp.Keyword("else").suppress() + block).set_parse_action(
        lambda t: Branch("else", list(t))
    )
    body <<= pp.ZeroOrMore(first + pp.ZeroOrMore(others) + pp.Optional(last) | plugin)
    section = (pp.one_of("input filter output") + block).set_parse_action(
        lambda t: Section(t[0], list(t[1:]))
    )
    whole = pp.OneOrMore(section)
    whole.ignore(pp.python_style_comment)
    return whole


def parse(text: str) -> list[Section]:
    """The sections of a pipeline's file.

    Raises:
        pyparsing.ParseException: it is not written in the language.
    """
    return list(_grammar().parse_string(text, parse_all=True))
