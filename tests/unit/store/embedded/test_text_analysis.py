from __future__ import annotations

import pytest

from tidegate.store.embedded.text_analysis import tokenize


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
