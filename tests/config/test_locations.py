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


def test_members():
    assert list(locations.members(schema.Optimizer)) == ["adam", "adagrad", "sgd", "momentum", "ftrl"]
    assert list(locations.members(schema.LearningRate)) == ["number", "schedule"]
    assert locations.members(schema.EarlyStopping | None) == {}


def test_section():
    assert locations.section(schema.EarlyStopping | None) is schema.EarlyStopping
    assert locations.section(int | None) is None
