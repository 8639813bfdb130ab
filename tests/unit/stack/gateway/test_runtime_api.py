"""What HAProxy's runtime interface prints is parsed, or refused."""

from __future__ import annotations

import pytest

from tidegate.stack.gateway.runtime_api import RuntimeApiError, parse_limits, parse_requests


def test_the_limits_are_parsed_from_haproxys_table() -> None:
    answer = (
        "# pxname,svname,qcur,slim,\n"
        "model,model1,0,4,\nmodel,model12,0,2,\nmodel,another,0,1,\nother,model2,0,9,\n\n"
    )
    assert parse_limits(answer) == {1: 4, 12: 2}


@pytest.mark.parametrize(
    "answer", ["", "Unknown command", "# pxname,svname\nmodel,model1\n", "# pxname\nmodel\n"]
)
def test_an_answer_that_is_not_the_table_is_an_error(answer: str) -> None:
    for parse in (parse_limits, parse_requests):
        with pytest.raises(RuntimeApiError, match="cannot be parsed"):
            parse(answer)


@pytest.mark.parametrize(
    ("rows", "number"),
    [
        ("model,waiting,1,\nmodel,model1,2,\nmodel,BACKEND,5,\n", 4),  # without the plug
        ("model,model1,2,\nmodel,BACKEND,5,\nplug,FRONTEND,1,\n", 5),  # before the plug connects
    ],
)
def test_the_requests_are_those_of_the_backend_without_the_plug(rows: str, number: int) -> None:
    assert parse_requests(f"# pxname,svname,scur,\n{rows}\n") == number
