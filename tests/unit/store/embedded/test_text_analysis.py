from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.store.embedded.text_analysis import analyzer, tokenize


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("POST /predict 200 in 35 ms", ["post", "predict", "200", "in", "35", "ms"]),
        ("10.0.0.1:8080", ["10.0.0.1", "8080"]),
        ("don't time-out v1.2.3 a:b", ["don't", "time", "out", "v1.2.3", "a:b"]),
        ("foo_bar foo.bar .x. a..b", ["foo_bar", "foo.bar", "x", "a", "b"]),
        ("1,000.5 a.1 1.a", ["1,000.5", "a", "1", "1", "a"]),
        ("e\u0301cole ÉCOLE Straße", ["e\u0301cole", "école", "straße"]),
        ("日本語 ひら カタ 한국어 🚀", ["日", "本", "語", "ひ", "ら", "カタ", "한국어", "🚀"]),
        (" \t—\n", []),
    ],
)
def test_text_is_split_into_the_tokens_of_the_standard_analyzer(
    text: str, expected: list[str]
) -> None:
    assert tokenize(text) == expected


@given(st.text("aZ09_.:',;- /\n", max_size=12) | st.text(st.characters(max_codepoint=127)))
def test_ascii_is_split_as_the_analyzer_splits_it(text: str) -> None:
    assert tokenize(text) == analyzer().analyze(text)
