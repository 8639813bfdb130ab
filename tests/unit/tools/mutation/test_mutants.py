"""The faults that mutation tests make in a module."""

from __future__ import annotations

import ast

import pytest

from tools.mutation.mutants import mutants_of


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("x = a < b", ["x = (a <= b)"]),
        ("x = a not in b", ["x = (a in b)"]),
        ("x = a and b", ["x = (a or b)"]),
        ("x = a - b", ["x = (a + b)"]),
        ("x = a % b", ["x = (a * b)"]),
        ("x = not a", ["x = (a)"]),
        ("x = a if b else c", ["x = (c if b else a)"]),
        ("x = True", ["x = False"]),
        ("x = (1, 900)", ["x = (2, 900)"]),  # 900 is tuned
        ("f(\n  é,\n)", ["pass"]),
        ("x.y = a", ["pass"]),
        ("x += a", ["pass"]),
        ("raise a", ["pass"]),
        ("if a: f()", ["if (not (a)): f()", "if a: pass"]),
        ("if not a: b = c", ["if (a): b = c"]),
        ("while a:\n    break", ["while (not (a)):\n    break", "while a:\n    continue"]),
        ("def f():\n    return a", ["def f():\n    return None"]),
        ("def f():\n    return False", ["def f():\n    return True"]),
        # Neither has an effect that a test could see.
        ('"""1 < 2"""\nx: Literal[1] = a | b\ny = a\n', []),
        ("@f(1)\ndef g(x: int) -> int: ...", []),
        ("x = f'{a < b}'", []),
    ],
)
def test_each_fault_is_one_change_of_the_text(text: str, faults: list[str]) -> None:
    found = [mutant.text for mutant in mutants_of("m.py", text)]
    assert sorted(found) == sorted(faults)
    for one in found:
        ast.parse(one)


def test_a_mutant_is_the_same_though_other_lines_change() -> None:
    (before,) = mutants_of("m.py", "x = a < b\n")
    (after,) = mutants_of("m.py", "import a\n\n\nx = a < b\ny = c\n")
    assert before.key == after.key
    assert after.diff == "m.py:4\n-x = a < b\n+x = (a <= b)"
