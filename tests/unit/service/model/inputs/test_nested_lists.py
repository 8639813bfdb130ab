"""Nested lists as arrays: every array is read back, and nothing else is taken for one."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tidegate.service.model.inputs.nested_lists import NotATensorError, nested_array
from tidegate.service.model.tensor_spec import DTYPES, DYNAMIC, TensorSpec

FINITE = {"allow_nan": False, "allow_infinity": False}


@st.composite
def tensors(draw: st.DrawFn) -> tuple[np.ndarray, TensorSpec]:
    """An array of some datatype, and a spec that it fits."""
    datatype = draw(st.sampled_from(list(DTYPES)))
    shape = draw(arrays.array_shapes(min_dims=1, max_dims=4, max_side=3))
    elements = FINITE if DTYPES[datatype].kind == "f" else None
    array = draw(arrays.arrays(DTYPES[datatype], shape, elements=elements))
    sizes = [draw(st.sampled_from([size, DYNAMIC])) for size in shape[1:]]
    return array, TensorSpec(name="x", datatype=datatype, shape=(DYNAMIC, *sizes))


@given(tensors())
def test_an_array_of_any_type_is_read_back_from_json(tensor: tuple[np.ndarray, TensorSpec]) -> None:
    array, spec = tensor
    found = nested_array(orjson.loads(orjson.dumps(array.tolist())), spec)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(found, array)


@given(tensors(), st.data())
def test_a_fixed_size_refuses_every_other_one(
    tensor: tuple[np.ndarray, TensorSpec], data: st.DataObject
) -> None:
    array, spec = tensor
    assume(array.ndim > 1)
    axis = data.draw(st.integers(1, array.ndim - 1))
    shape = list(spec.shape)
    shape[axis] = array.shape[axis] + 1
    with pytest.raises(NotATensorError, match="shape"):
        nested_array(array.tolist(), spec.model_copy(update={"shape": tuple(shape)}))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children),
    max_leaves=8,
)


@given(st.lists(JSON, min_size=1, max_size=3), tensors())
def test_any_json_is_an_array_of_the_spec_or_refused(
    values: list[Any], tensor: tuple[np.ndarray, TensorSpec]
) -> None:
    _, spec = tensor
    try:
        found = nested_array(values, spec)
    except NotATensorError:
        return
    assert found.dtype == DTYPES[spec.datatype]
    assert found.ndim == len(spec.shape)
    assert found.tolist() == pytest.approx(values, rel=1e-3) or found.ndim > 1


def test_a_long_text_among_many_is_refused_without_room_for_as_many_long_ones() -> None:
    spec = TensorSpec(name="x", datatype="BYTES", shape=(DYNAMIC, 3))
    value = ["a" * 4000, *["b"] * 4000]
    tracemalloc.start()
    with pytest.raises(NotATensorError, match=r"shape \[4001\]"):
        nested_array([value], spec)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
