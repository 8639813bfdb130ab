"""ONNX files as they are: inputs, outputs and classes from the graph and the schema file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

from support.samples.onnx_graphs import (
    FLOAT,
    WEIGHT,
    WEIGHTS,
    linear,
    make_model,
    one_node,
    values_of,
)
from tidegate.service.artefacts.formats import onnx_file
from tidegate.service.artefacts.onnx_graph import class_labels
from tidegate.service.artefacts.schema_file import ModelSchema
from tidegate.service.model.artefact import ArtefactError

PROBE = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)


def test_a_matrix_of_numbers_has_numbered_features(imported: Any) -> None:
    found = imported("price.onnx", linear().SerializeToString())
    assert (found.manifest.task, found.manifest.input) == ("regression", "matrix")
    assert [feature.name for feature in found.manifest.features] == ["f0", "f1", "f2", "f3"]
    np.testing.assert_allclose(values_of(found, PROBE), (PROBE @ WEIGHT)[:, 0], rtol=1e-5)
    assert found.manifest.parity == {}
    assert sorted(file.name for file in found.path.iterdir()) == [
        "manifest.json",
        "model.onnx",
        "reference.json",
        "samples.ndjson",
    ]


def test_classes_of_another_number_are_not_those_of_the_answers() -> None:
    node = helper.make_node("LinearClassifier", ["x"], ["y", "z"], classlabels_ints=[3, 5])
    model = make_model([node], [("x", FLOAT, [1, 4])], [("z", FLOAT, [1, 2])], {})
    assert class_labels(model, 2) == (3, 5)
    assert class_labels(model, 3) == ()


@pytest.mark.parametrize("kind", [TensorProto.DOUBLE, TensorProto.FLOAT16])
@pytest.mark.parametrize("name", ["x", "features"])
def test_a_matrix_of_another_type_is_cast(imported: Any, kind: int, name: str) -> None:
    found = imported("price.onnx", linear(kind=kind, name=name).SerializeToString())
    values = values_of(found, PROBE)
    np.testing.assert_allclose(values, (PROBE @ WEIGHT)[:, 0], rtol=0, atol=2e-2)


@pytest.mark.parametrize("rows", [1, 8])
def test_a_fixed_number_of_rows_becomes_any_number(imported: Any, rows: int) -> None:
    found = imported("price.onnx", linear(rows=rows).SerializeToString())
    assert found.manifest.input == "matrix"
    np.testing.assert_allclose(values_of(found, PROBE), (PROBE @ WEIGHT)[:, 0], rtol=1e-5)


def test_a_graph_that_takes_only_one_row_is_served_row_by_row(imported: Any) -> None:
    reshape = helper.make_node("Reshape", ["x", "shape"], ["y"])
    model = make_model(
        [reshape], [("x", FLOAT, [1, 4])], [("y", FLOAT, [1, 4])], {"shape": np.array([1, 4])}
    )
    found = imported("one.onnx", model.SerializeToString())
    assert found.manifest.input == "tensors"
    assert found.manifest.tensors[0].shape == (1, 4)


def test_the_schema_names_features_and_the_target(imported: Any) -> None:
    schema = """
        [target]
        name = "price"
        unit = "EUR"
        [[features]]
        name = "size"
        unit = "m²"
        minimum = 0
        [[features]]
        name = "rooms"
        kind = "integer"
        [[features]]
        name = "city"
        categories = ["Lima", "Oslo"]
        [[features]]
        name = "age"
        missing = true
    """
    found = imported("price.onnx", linear().SerializeToString(), schema=schema)
    size, rooms, city, age = found.manifest.features
    assert (size.name, size.unit, size.minimum, rooms.kind) == ("size", "m²", 0, "integer")
    assert (city.kind, city.categories, age.missing) == ("category", ("Lima", "Oslo"), True)
    assert found.manifest.target is not None
    assert (found.manifest.target.name, found.manifest.target.unit) == ("price", "EUR")


def test_logits_become_probabilities_by_softmax(imported: Any) -> None:
    schema = 'classes = ["a", "b", "c"]\nactivation = "softmax"\n'
    found = imported("letter.onnx", linear(WEIGHTS).SerializeToString(), schema=schema)
    assert found.manifest.classes == ("a", "b", "c")
    powers = np.exp(PROBE @ WEIGHTS)
    expected = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(values_of(found, PROBE), expected, rtol=1e-4)


@pytest.mark.parametrize("flat", [False, True])
def test_a_single_logit_becomes_two_probabilities_by_sigmoid(imported: Any, flat: bool) -> None:
    model = linear()
    if flat:
        shape = onnx.numpy_helper.from_array(np.array([-1]), "flat")
        model.graph.initializer.append(shape)
        model.graph.node.append(helper.make_node("Reshape", ["y", "flat"], ["z"]))
        model.graph.output[0].CopyFrom(helper.make_tensor_value_info("z", FLOAT, ["rows"]))
    schema = 'classes = ["no", "yes"]\nactivation = "sigmoid"\n'
    found = imported("yes.onnx", model.SerializeToString(), schema=schema)
    second = 1 / (1 + np.exp(-(PROBE @ WEIGHT)))
    expected = np.column_stack([1 - second, second])
    np.testing.assert_allclose(values_of(found, PROBE), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("labels", [["a", "b", "c"], [3, 5, 7]])
def test_a_classifier_keeps_its_classes_with_and_without_a_zipmap(
    imported: Any, zipmap: bool, labels: list[Any]
) -> None:
    rows = np.random.default_rng(2).normal(size=(90, 4)).astype(np.float32)
    model = LogisticRegression().fit(rows, np.array(labels)[rows[:, :3].argmax(axis=1)])
    options = None if zipmap else {"zipmap": False}
    converted = to_onnx(model, rows[:1], options=options)
    found = imported("letter.onnx", converted.SerializeToString())
    assert found.manifest.classes == tuple(labels)
    np.testing.assert_allclose(
        values_of(found, PROBE), model.predict_proba(PROBE), rtol=0, atol=1e-5
    )


def test_an_input_per_feature_gives_columns_with_the_names_of_the_graph(imported: Any) -> None:
    model = make_model(
        [
            helper.make_node("Cast", ["rooms"], ["rooms_float"], to=FLOAT),
            helper.make_node("Add", ["size", "rooms_float"], ["price"]),
        ],
        [("size", FLOAT, ["rows", 1]), ("rooms", TensorProto.INT64, ["rows", 1])],
        [("price", FLOAT, ["rows", 1])],
    )
    found = imported("price.onnx", model.SerializeToString())
    assert found.manifest.input == "columns"
    assert [(f.name, f.kind) for f in found.manifest.features] == [
        ("size", "number"),
        ("rooms", "integer"),
    ]
    rows = np.array([[0.5, 2], [3, 4]])
    assert values_of(found, rows).tolist() == [2.5, 7]


def city_codes() -> bytes:
    """A graph from a column of strings to a number."""
    encode = helper.make_node(
        "LabelEncoder",
        ["city"],
        ["code"],
        domain="ai.onnx.ml",
        keys_strings=["Lima", "Oslo"],
        values_floats=[1.0, 2.0],
    )
    model = make_model(
        [encode], [("city", TensorProto.STRING, ["rows", 1])], [("code", FLOAT, ["rows", 1])]
    )
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    content: bytes = model.SerializeToString()
    return content


def test_a_column_of_strings_is_a_feature_if_its_categories_are_named(imported: Any) -> None:
    found = imported("bare.onnx", city_codes())
    assert (found.manifest.input, found.manifest.tensors[0].datatype) == ("tensors", "BYTES")
    shutil.rmtree(found.path)
    schema = '[[features]]\nname = "city"\ncategories = ["Lima", "Oslo"]\n'
    found = imported("code.onnx", city_codes(), schema=schema)
    assert found.manifest.input == "columns"
    assert found.manifest.features[0].categories == ("Lima", "Oslo")
    assert values_of(found, [[1], [0]]).tolist() == [2.0, 1.0]


def test_an_image_and_token_ids_are_tensors_and_any_output_is_values(imported: Any) -> None:
    gather = helper.make_node("Gather", ["table", "ids"], ["vectors"])
    model = make_model(
        [gather],
        [("ids", TensorProto.INT64, ["rows", "length"])],
        [("vectors", FLOAT, ["rows", "length", 3])],
        {"table": np.ones((50, 3), dtype=np.float32)},
    )
    found = imported("text.onnx", model.SerializeToString())
    assert (found.manifest.task, found.manifest.input) == ("values", "tensors")
    (ids,) = found.manifest.tensors
    assert (ids.name, ids.datatype, ids.shape) == ("ids", "INT64", (-1, -1))
    (vectors,) = found.manifest.outputs
    assert (vectors.name, vectors.datatype, vectors.shape) == ("vectors", "FP32", (-1, -1, 3))


def test_several_outputs_are_values_unless_the_schema_names_one(imported: Any) -> None:
    model = make_model(
        [
            helper.make_node("MatMul", ["x", "a"], ["scores"]),
            helper.make_node("MatMul", ["x", "b"], ["price"]),
        ],
        [("x", FLOAT, ["rows", 4])],
        [("scores", FLOAT, ["rows", 3]), ("price", FLOAT, ["rows", 1])],
        {"a": WEIGHTS, "b": WEIGHT},
    )
    with pytest.raises(ArtefactError, match="unclear which of the outputs scores, price"):
        imported("two.onnx", model.SerializeToString(), schema='task = "regression"\n')
    schema = 'task = "regression"\noutput = "price"\n'
    found = imported("two.onnx", model.SerializeToString(), schema=schema)
    np.testing.assert_allclose(values_of(found, PROBE), (PROBE @ WEIGHT)[:, 0], rtol=1e-5)


@pytest.mark.parametrize("header", ["size,floor,built,city", "built,size,city,floor,target"])
def test_the_columns_of_the_rows_name_the_features_in_their_order(
    imported: Any, header: str
) -> None:
    row = ",".join("1" for _ in header.split(","))
    found = imported("price.onnx", linear().SerializeToString(), rows=f"{header}\n{row}\n")
    names = [feature.name for feature in found.manifest.features]
    assert names == header.removesuffix(",target").split(",")
    assert (found.path / "samples.ndjson").read_text().startswith(f'{{"{names[0]}":')


CONCAT = helper.make_node("ConcatFromSequence", ["x"], ["y"], axis=0)
SEQUENCE = helper.make_model(
    helper.make_graph(
        [CONCAT],
        "graph",
        [helper.make_tensor_sequence_value_info("x", FLOAT, None)],
        [helper.make_tensor_value_info("y", FLOAT, None)],
    ),
    opset_imports=[helper.make_opsetid("", 21)],
    ir_version=10,
)
FIXED = make_model(
    [helper.make_node("Reshape", ["x", "shape"], ["y"])],
    [("x", FLOAT, [8, 4])],
    [("y", FLOAT, [4, 8])],
    {"shape": np.array([4, 8])},
)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (SEQUENCE, "the input x is no tensor with"),
        (FIXED, "the first axis of the input x has the fixed size 8; it is the rows"),
        (one_node("Softmax", [8, 4], axis=0), "the input x has the fixed size 8"),
        (one_node("Relu", []), "the input x is no tensor with"),
        (one_node("Relu", None), "the input x is no tensor with"),
        (one_node("Identity", [None, 2**18]), "x has 262,144 values; at most 131,072"),
        (one_node("Identity", [None, 10**10]), "x has 10,000,000,000 values; at most"),
        (one_node("Identity", [None, 10**5, 10**5]), "x has 10,000,000,000 values; at most"),
        (one_node("Identity", [1, 10**10, 1]), "x has 10,000,000,000 values; at most"),
        (
            one_node("Identity", ["rows", 4], TensorProto.BFLOAT16),
            "x is of type BFLOAT16, which is not supported: export it as float32",
        ),
        (one_node("Foo", ["rows", 4]), "ONNX Runtime .* cannot run it: .*Foo"),
        (linear(opset=99), "ONNX Runtime .* cannot run it: .*opset"),
        (linear(ir_version=99), r"ONNX Runtime .* cannot run it: Unsupported model IR version: 99"),
        (
            one_node("LinearClassifier", ["rows", 4], classlabels_strings=[b"a", b"\xff"]),
            r"a class label in it, b'\\xff', is not UTF-8: export it with other labels",
        ),
        (
            one_node("ReduceMean", ["rows", 4], keepdims=0),
            "the output y has the shape .* for 2 rows; its first axis should be the rows",
        ),
    ],
)
def test_what_cannot_be_served_is_refused_with_the_reason(
    imported: Any, model: Any, message: str
) -> None:
    with pytest.raises(ArtefactError, match=message):
        imported("odd.onnx", model.SerializeToString())


@pytest.mark.parametrize(
    ("weights", "schema", "message"),
    [
        (WEIGHTS, 'classes = ["a", "b", "c"]\n', "not probabilities: .*softmax"),
        (
            WEIGHTS,
            'classes = ["a", "b"]\nactivation = "softmax"\n',
            r"shape \[2, 3\] for 2 rows, which does not fit 2 `classes`",
        ),
        (WEIGHTS, 'task = "regression"\n', r"has the shape \[2, 3\] for 2 rows.*task = \"values\""),
        (WEIGHT, 'output = "z"\n', "`output` is z in the schema file; the outputs are y"),
        (WEIGHT, '[[features]]\nname = "a"\n', "names 1 features; the model has 4 without names"),
        (WEIGHT, "", r"price.csv has 3 columns for features, and the model has 4 .*schema.toml"),
    ],
)
def test_a_schema_that_does_not_fit_the_graph_is_refused(
    imported: Any, weights: Any, schema: str, message: str
) -> None:
    with pytest.raises(ArtefactError, match=message):
        imported(
            "price.onnx", linear(weights).SerializeToString(), schema=schema, rows="id,a,b,label\n"
        )


def test_a_file_above_the_limit_of_protobuf_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "large.onnx"
    with file.open("wb") as opened:
        opened.write(b"\x08")
        opened.truncate(10 * 2**30)  # sparse
    with pytest.raises(ArtefactError, match="larger than 2 GiB"):
        onnx_file.open_file(file, ModelSchema())
