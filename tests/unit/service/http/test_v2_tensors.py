"""Tensors in JSON and as raw bytes; the error of an invalid one names it."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.request_errors import says
from tidegate.service.http.body_types import InferenceRequest, validated
from tidegate.service.http.v2_tensors import pack, read_tensors, split_body
from tidegate.service.model.tensor_spec import DTYPES, Tensor
from tidegate.service.request_errors import RequestError


def entry(**change: Any) -> dict[str, Any]:
    """A tensor of two rows, with changes."""
    return {"name": "x", "datatype": "FP32", "shape": [2, 1], "data": [1.5, 2]} | change


def read(inputs: object, raw: bytes) -> list[Tensor]:
    """The tensors of a request."""
    return list(read_tensors(validated(InferenceRequest, {"inputs": inputs}).inputs, raw))


def test_nested_and_flat_data_are_the_same() -> None:
    flat, nested = read([entry(), entry(name="y", data=[[1.5], [2]])], b"")
    assert list(flat.values) == list(nested.values) == [1.5, 2]
    assert flat.rows == 2


@pytest.mark.parametrize("datatype", [*DTYPES, "BYTES"])
def test_packed_values_are_read_back(datatype: str) -> None:
    values: list[Any] = ["JFK", "Zürich"] if datatype == "BYTES" else [1, 2]
    raw = pack(values, datatype)
    described = {"name": "x", "datatype": datatype, "shape": [2]}
    (tensor,) = read([described | {"parameters": {"binary_data_size": len(raw)}}], raw)
    assert list(tensor.values) == ([True, True] if datatype == "BOOL" else values)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_strings_are_read_back_from_the_binary_format(texts: list[str]) -> None:
    raw = pack(texts, "BYTES")
    assert len(raw) == sum(4 + len(text.encode()) for text in texts)
    if texts:
        described = {"name": "x", "datatype": "BYTES", "shape": [len(texts)]}
        (tensor,) = read([described | {"parameters": {"binary_data_size": len(raw)}}], raw)
        assert tensor.values == texts


def test_several_raw_tensors_are_read_in_order() -> None:
    first, second = pack([1.0, 2.0], "FP32"), pack(["a", "bc"], "BYTES")
    inputs = [
        entry(data=None, parameters={"binary_data_size": 8}),
        entry(name="y", datatype="BYTES", data=None, parameters={"binary_data_size": len(second)}),
    ]
    x, y = read(inputs, first + second)
    assert (list(x.values), list(y.values)) == ([1, 2], ["a", "bc"])


@pytest.mark.parametrize(
    ("inputs", "raw", "message"),
    [
        ([], b"", "inputs: List should have at least 1 item"),
        (
            [entry(datatype="BOOLEAN")],
            b"",
            r"inputs\.0\.datatype: Input should be 'BOOL', .*'FP16'",
        ),
        ([entry(shape=[])], b"", r"inputs\.0\.shape: List should have at least 1 item"),
        ([entry(shape=[0, 1])], b"", r"inputs\.0\.shape\.0: .* greater than or equal to 1"),
        ([entry(shape=[True, 1])], b"", r"inputs\.0\.shape\.0: Input should be a valid integer"),
        ([entry(shape=[4097, 1])], b"", r"inputs\.x: At most 4096 rows"),
        ([entry(shape=[3, 1])], b"", r"inputs\.x: shape \[3, 1\] needs 3 values, got 2"),
        ([entry(data="ab")], b"", r"inputs\.x: data should be a list"),
        ([entry(data=[[1], 2])], b"", r"inputs\.x: data should be nested evenly"),
        ([entry(parameters={"binary_data_size": 9})], b"12345678", "does not fit the body"),
        (
            [entry(name=name, parameters={"binary_data_size": 8}) for name in "xy"],
            b"123456781234",
            r"inputs\.y: binary_data_size 8 does not fit the body",
        ),
        ([entry(parameters={"binary_data_size": -1})], b"", r"binary_data_size: .* or equal to 0"),
        (
            [entry(parameters={"binary_data_size": 7})],
            b"1234567",
            "not a whole number of FP32 values",
        ),
        ([entry()], b"more", "4 bytes follow the last tensor"),
    ],
)
def test_the_error_of_an_invalid_tensor_names_it(inputs: object, raw: bytes, message: str) -> None:
    with pytest.raises(RequestError, check=says(message)) as caught:
        read(inputs, raw)
    assert caught.value.status in {400, 422}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\x01\x00", "the length of a string is truncated"),
        (struct.pack("<I", 9) + b"abc", "a string is truncated"),
        (struct.pack("<I", 1) + b"\xff", "string 0 is not UTF-8"),
    ],
)
def test_the_error_of_an_invalid_string_gives_the_reason(raw: bytes, message: str) -> None:
    described = entry(datatype="BYTES", shape=[1], parameters={"binary_data_size": len(raw)})
    with pytest.raises(RequestError, check=says(message)):
        read([described], raw)


def test_the_header_length_splits_the_body() -> None:
    assert split_body(b'{"a":1}\x00\x01', b"7") == (b'{"a":1}', b"\x00\x01")
    assert split_body(b"{}", None) == (b"{}", b"")


@pytest.mark.parametrize("length", [b"9", b"-1", b"x", b"", "²".encode(), b"9" * 5000])
def test_an_invalid_header_length_is_refused(length: bytes) -> None:
    with pytest.raises(RequestError, check=says("should be a number of bytes up to 2")):
        split_body(b"{}", length)
