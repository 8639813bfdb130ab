"""The text analyzer: the same tokens as Elasticsearch's standard analyzer (Unicode TR 29, lower case).

A token consists of letters, digits and `_`; of `.`, `:` and an apostrophe between letters; and of `.`, `,`
and `;` between digits. So `flights_2`, `don't`, `10.0.0.1` and `tidegate.store` are one token each, and
`time-out` is two.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

import tantivy

_LETTER: Final = r"[\p{Alphabetic}--[\p{Han}\p{Hiragana}\p{Katakana}\p{M}]]"
_ANY: Final = r"[\p{Alphabetic}\p{Nd}\p{M}\p{Pc}--[\p{Han}\p{Hiragana}\p{Katakana}]]"
# MidLetter, MidNum and MidNumLet of TR 29: `·`, quotation marks, and the wide forms among them.
_BETWEEN_LETTERS: Final = (
    r"[:.'\x{2019}\x{2018}\x{B7}\x{2024}\x{FE52}\x{FF07}\x{FF0E}\x{2027}\x{FE13}\x{FE55}\x{FF1A}]"
)
_BETWEEN_DIGITS: Final = (
    r"[.,;'\x{2019}\x{2018}\x{2024}\x{FE52}\x{FF07}\x{FF0E}\x{FE50}\x{FE54}\x{FF0C}\x{FF1B}]"
)
# Characters with at least one of these between them.
_JOINED: Final = (
    rf"{_ANY}*(?:{_LETTER}\p{{M}}*(?:{_BETWEEN_LETTERS}{_LETTER}\p{{M}}*)+"
    rf"|\p{{Nd}}(?:{_BETWEEN_DIGITS}\p{{Nd}})+)"
)
_WORD: Final = (
    rf"(?:{_JOINED})+{_ANY}*|{_ANY}+|\p{{Katakana}}+|[\p{{Han}}\p{{Hiragana}}]"
    r"|[\p{Extended_Pictographic}--\p{ASCII}]"
)
# The same for lower-case ASCII, which nearly all texts are.
_ASCII_WORD: Final = re.compile(
    r"(?:\w|(?<=[a-z])[:.'](?=[a-z])|(?<=[0-9])[.,;'](?=[0-9]))+", re.ASCII
)


@cache
def analyzer() -> tantivy.TextAnalyzer:
    """Return the analyzer, which is created once per process."""
    tokenizer = tantivy.Tokenizer.regex(_WORD)
    return tantivy.TextAnalyzerBuilder(tokenizer).filter(tantivy.Filter.lowercase()).build()


def tokenize(text: str) -> list[str]:
    """Return the tokens of a text, in order."""
    return _ASCII_WORD.findall(text.lower()) if text.isascii() else analyzer().analyze(text)


def joined_tokens(item: object) -> object:
    """Return a text, or each of a list, as its tokens with spaces between: no token contains white space."""
    if isinstance(item, list):
        return [joined_tokens(one) for one in item]
    return " ".join(tokenize(str(item)))
