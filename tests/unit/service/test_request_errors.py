"""A fault is told in full to who sent the rows, and recorded without what was sent."""

from __future__ import annotations

from tidegate.service.request_errors import Detail, RequestError, full_message


def test_only_the_message_has_what_was_sent() -> None:
    error = RequestError(
        422, Detail(("inputs", "secret"), "the graph refuses 'secret'", "model_input")
    )
    assert full_message(error) == error.message == "inputs.secret: the graph refuses 'secret'"
    assert str(error) == "inputs: model_input"
    assert full_message(ValueError("why")) == "why"
