import pytest

from hubpipe.config import locations, schema


@pytest.mark.parametrize(
    ("loc", "path", "section"),
    [
        (("nmae",), ("nmae",), schema.Config),
        (("inputs", "text", "text"), ("inputs", "text"), schema.TextInputs),
        (("inputs", "train", "files", 1), ("inputs", "train", "files", 1), schema.Source),
        (("optimizer", "sgd", "l2"), ("optimizer", "l2"), schema.Sgd),
        (("optimizer", "momentum", "momentum"), ("optimizer", "momentum"), schema.Momentum),
        (("optimizer", "adam", "learning_rate", "number"), ("optimizer", "learning_rate"), schema.Adam),
        (
            ("optimizer", "adam", "learning_rate", "schedule", "cosine", "alpha"),
            ("optimizer", "learning_rate", "alpha"),
            schema.CosineRate,
        ),
        (
            ("training", "early_stopping", "patience"),
            ("training", "early_stopping", "patience"),
            schema.EarlyStopping,
        ),
    ],
)
def test_locate(loc, path, section):
    found, around, _ = locations.locate(loc)
    assert (found, around) == (path, section)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("inputs.label", True),  # a text, or null in some kinds
        ("inputs.decimal", True),
        ("inputs.train.files", True),
        ("inputs.label_aliases.x", True),
        ("inputs.columns", False),
        ("inputs.train", False),
        ("optimizer.learning_rate", False),
        ("model_fn.params.x", False),
        ("nonsense", False),
        ("name.nonsense", False),
    ],
)
def test_takes_text(key, expected):
    assert locations.takes_text(tuple(key.split("."))) is expected


def test_members():
    assert list(locations.members(schema.Optimizer)) == ["adam", "adagrad", "sgd", "momentum", "ftrl"]
    assert list(locations.members(schema.LearningRate)) == ["number", "schedule"]
    assert locations.members(schema.EarlyStopping | None) == {}


def test_section():
    assert locations.section(schema.EarlyStopping | None) is schema.EarlyStopping
    assert locations.section(int | None) is None
