"""`schema.toml` beside a model file: which file is read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.checkout import ROOT
from tidegate.service.artefacts.formats import FORMATS, lightgbm_model, xgboost_model
from tidegate.service.artefacts.import_cache import schema_file
from tidegate.service.artefacts.schema_file import FeatureSchema, ModelSchema, read_schema
from tidegate.service.model.artefact import ArtefactError
from tidegate.service.model.features import Feature
from tidegate.service.model.signature import Target


def test_the_file_of_the_same_name_wins_over_the_one_of_the_folder(tmp_path: Path) -> None:
    model = tmp_path / "wine.onnx"
    assert schema_file(model) is None
    assert read_schema(model) == ModelSchema()
    (tmp_path / "schema.toml").write_text('task = "values"\n')
    assert read_schema(model).task == "values"
    (tmp_path / "wine.toml").write_text('task = "regression"\n')
    assert read_schema(model).task == "regression"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task = values", "is not valid TOML"),
        ('tsak = "values"', "unknown key `tsak`; expected task, classes, activation"),
        ('task = "ranking"', "`task`: Input should be 'classification', 'regression' or 'values'"),
        ('classes = ["a"]', "`classes`: List should have at least 2 items"),
        ('classes = ["a", "a"]', "two `classes` have the same name"),
        ('activation = "softmax"', "`activation` needs `classes`"),
        ('task = "regression"\nclasses = ["a", "b"]', "are of the task classification, not regression"),
        ('[target]\nnmae = "x"', "unknown key `target.nmae`; expected name, unit, description"),
        (
            '[[features]]\nname = "a"\nmin = 0',
            "unknown key `features.0.min`; expected name, kind, minimum, maximum, categories",
        ),
        ('[[features]]\nname = "a"\nminimum = true', "`features.0.minimum`"),
        (
            '[[features]]\nname = "a"\nminimum = 2\nmaximum = 1',
            "`features.0`: `minimum` 2 is above `maximum` 1",
        ),
        ('[[features]]\nname = "a"\ncategories = []', "`categories` should be one or more different"),
        (
            '[[features]]\nname = "a"\nkind = "number"\ncategories = ["x"]',
            "`categories` needs the kind category, not number",
        ),
        ('[[features]]\nname = "a"\nminimum = 0\ncategories = ["x"]', "a category has no `minimum`"),
        ('[[features]]\nname = "a"\n[[features]]\nname = "a"', "two `features` have the name a"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_with_the_file_and_the_key(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "schema.toml"
    file.write_text(text)
    with pytest.raises(ArtefactError) as caught:
        read_schema(tmp_path / "wine.onnx")
    assert str(caught.value).startswith(str(file))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_absent_key_keeps_what_the_model_says() -> None:
    schema = ModelSchema.model_validate({"features": [{"name": "b", "maximum": 9}]})
    own = [Feature(name="a"), Feature(name="b", minimum=1, unit="m")]
    assert schema.described(own, named=True, source="schema.toml") == (
        Feature(name="a"),
        Feature(name="b", minimum=1, maximum=9, unit="m"),
    )


def test_a_feature_that_the_model_does_not_have_is_named() -> None:
    schema = ModelSchema.model_validate({"features": [{"name": "c"}]})
    with pytest.raises(ArtefactError, match="c, which the model does not have; it has a, b"):
        schema.described([Feature(name="a"), Feature(name="b")], named=True, source="schema.toml")


def test_every_key_and_every_kind_is_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "model-files.md").read_text()
    keys = [name for name in ModelSchema.model_fields if name not in {"target", "features"}]
    keys += [f"target.{name}" for name in Target.model_fields]
    keys += [f"features.{name}" for name in FeatureSchema.model_fields]
    assert [key for key in keys if f"`{key}`" not in page] == []
    for kind in FORMATS:
        assert [kind.title, *kind.suffixes] == [
            text for text in (kind.title, *kind.suffixes) if text in page
        ]
    for objective in lightgbm_model.CLASSIFICATION | lightgbm_model.REGRESSION:
        assert f"`{objective}`" in page
    for objective in xgboost_model.CLASSIFICATION | xgboost_model.REGRESSION:
        assert f"`{objective}`" in page
