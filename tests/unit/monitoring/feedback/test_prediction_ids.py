"""A prediction id has what its label needs, and only the holder of the key can create or change one."""

from __future__ import annotations

import base64
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidegate.monitoring.counting.label_text import MAX_BYTES
from tidegate.monitoring.feedback.prediction_ids import (
    ForgedIdError,
    MalformedIdError,
    PredictionIds,
    model_digest,
)

KEY = b"a secret signing key"
REQUEST = ("0123456789abcdef0123456789abcdef", "0011223344556677")
DIGEST = model_digest(["m", "late", "on_time"])
IDS = PredictionIds(KEY, "v1", DIGEST)
AT_US = 1_790_000_000_000_000


@given(
    st.integers(0, 2**63),
    st.tuples(st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8)),
    st.text("abcXYZ019._-", min_size=1, max_size=100),
    st.lists(st.tuples(st.text(max_size=25), st.floats(0, 1, width=32)), max_size=5),
    st.booleans(),
)
def test_an_id_contains_what_it_was_created_from(
    at_us: int, of: tuple[bytes, bytes], version: str, rows: list[tuple[str, float]], sure: bool
) -> None:
    ids = PredictionIds(KEY, version, DIGEST)
    labels, confidences = [label for label, _ in rows], [each for _, each in rows]
    texts = ids.make(at_us, (of[0].hex(), of[1].hex()), labels, confidences if sure else None)
    for row, text in enumerate(texts):
        assert len(text) <= 350
        found = IDS.read(text)  # of any version
        assert (found.at_us, found.version) == (at_us, version)
        assert (found.trace_id, found.span_id) == (of[0].hex(), of[1].hex())
        assert (found.digest, found.row, found.value) == (DIGEST, row, labels[row])
        assert found.certainty == (confidences[row] if sure else None)


@given(
    st.text("abcXYZ019._-", min_size=1, max_size=100),
    st.lists(st.floats(allow_nan=False), max_size=5),
    st.none() | st.floats(0, allow_nan=False),
)
def test_an_id_contains_the_predicted_value_exactly(
    version: str, values: list[float], half_width: float | None
) -> None:
    ids = PredictionIds(KEY, version, model_digest({"model": "m"}))
    texts = ids.make_values(AT_US, REQUEST, values, half_width)
    for row, text in enumerate(texts):
        assert len(text) <= 250
        found = IDS.read(text)
        assert (found.at_us, found.version, found.row) == (AT_US, version, row)
        assert (found.trace_id, found.span_id) == REQUEST
        assert found.digest == model_digest({"model": "m"})
        assert (found.value, found.certainty) == (values[row], half_width)


def test_the_longest_id_is_read() -> None:
    label = "é" * (MAX_BYTES // 2)
    (text,) = PredictionIds(KEY, "v" * 100, DIGEST).make(AT_US, REQUEST, [label], [0.5])
    found = IDS.read(text)
    assert found.value == label


def test_a_predicted_value_may_be_nan() -> None:
    (text,) = IDS.make_values(AT_US, REQUEST, [math.nan])
    found = IDS.read(text)
    assert isinstance(found.value, float)
    assert math.isnan(found.value)
    assert found.certainty is None


@pytest.mark.parametrize(
    "text",
    [
        *IDS.make_values(AT_US, REQUEST, [1.5], 0.5),
        *IDS.make(AT_US, REQUEST, ["late"], [0.9]),
    ],
)
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_changed_byte_is_an_error(text: str, position: int, change: int) -> None:
    signed = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    signed[position % len(signed)] ^= change
    changed = base64.urlsafe_b64encode(signed).rstrip(b"=").decode()
    with pytest.raises((ForgedIdError, MalformedIdError)):
        IDS.read(changed)


def test_another_key_is_an_error() -> None:
    (text,) = PredictionIds(b"some other key", "v1", DIGEST).make(AT_US, REQUEST, ["1"], [0.9])
    with pytest.raises(ForgedIdError):
        IDS.read(text)


@given(st.text(max_size=400))
@example("A" * 351)
def test_other_text_is_not_an_id(text: str) -> None:
    with pytest.raises(MalformedIdError):
        IDS.read(text)


def test_another_encoding_of_the_same_bytes_is_an_error() -> None:
    # The last character has 2 unused bits, which would allow several ids of one prediction.
    ids = PredictionIds(KEY, "v1", DIGEST)
    (text,) = ids.make(AT_US, REQUEST, ["1"], [0.9])
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    others = [text[:-1] + last for last in alphabet if last != text[-1]]
    same = [
        other
        for other in others
        if base64.urlsafe_b64decode(other + "=" * (-len(other) % 4)) == raw
    ]
    assert same
    for other in (*same, text + "=", f" {text}"):
        with pytest.raises(MalformedIdError):
            ids.read(other)


def test_the_outcome_id_is_the_same_on_every_replica() -> None:
    first, second = IDS.make(AT_US, REQUEST, ["1"] * 2, [0.9, 0.9])
    elsewhere = PredictionIds(KEY, "v2", DIGEST)
    assert IDS.read(first).outcome_id == elsewhere.read(first).outcome_id
    assert IDS.read(first).outcome_id != IDS.read(second).outcome_id
