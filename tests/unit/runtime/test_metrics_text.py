"""Samples of a page in the Prometheus text format."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.runtime.metrics_text import sample_value, samples

PAGE = """# HELP sessions Current sessions.
# TYPE sessions gauge
sessions{proxy="model",server="model1"} 2
sessions{server="model2",proxy="model"} 3.5 1712
sessions{proxy="a \\"quoted\\" name, }",server="x"} 4
sessions_total 9
broken{ 1
up 1
"""


def test_a_sample_is_found_by_its_name_and_some_of_its_labels() -> None:
    assert sample_value(PAGE, "sessions", server="model2", proxy="model") == 3.5
    assert sample_value(PAGE, "sessions", proxy='a "quoted" name, }') == 4
    assert sample_value(PAGE, "sessions_total") == 9
    assert sample_value(PAGE, "sessions", server="model") is None
    assert sample_value(PAGE, "session") is None
    found = samples(PAGE, "sessions", proxy="model")
    assert [(one["server"], value) for one, value in found] == [("model1", 2.0), ("model2", 3.5)]


def test_a_malformed_line_of_another_metric_is_ignored() -> None:
    assert sample_value(PAGE, "up") == 1
    assert sample_value(PAGE, "broken") is None
    assert sample_value(f"up {'9' * 400}\n", "up") is None


@given(st.text(alphabet='{}"=,\\ \t1.ab#-+eN_é\n'))
@pytest.mark.parametrize("start", ["up", "up{", 'up{a="', "up "])
def test_no_input_raises(start: str, rest: str) -> None:
    samples(start + rest, "up")
