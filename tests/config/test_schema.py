import typing

import pydantic
import pytest

from hubpipe.config import schema

SOURCE = {"sample": "stdlib_docs"}
INPUTS = {"kind": "text", "train": SOURCE, "eval": SOURCE}
SMALLEST = {"name": "docs", "inputs": INPUTS, "model_fn": {"kind": "text"}}


def _config(**sections):
    return schema.Config.model_validate(SMALLEST | sections)


def _sections(section=schema.Section):
    for sub in section.__subclasses__():
        yield sub
        yield from _sections(sub)


def test_defaults():
    config = _config()
    assert config.model_dir == "runs/docs"
    assert config.selection.higher_is_better is True
    assert config.optimizer == schema.Adam(kind="adam", learning_rate=0.001)
    assert config.model_fn.encoder.hidden_units == (128,)
    assert config.model_fn.batch_norm.momentum == 0.9
    assert config.model_fn.head.top_k == 5
    assert config.training.max_steps == 3000
    assert config.training.early_stopping is None
    assert config.export.hyperparameters == ("dropout_rate", "batch_norm_momentum")
    assert config.store.dir == "modules"


def test_direction_is_known_from_the_metric():
    assert _config(selection={"metric": "loss"}).selection.higher_is_better is False
    assert _config(selection={"metric": "unheard"}).selection.higher_is_better is None


def test_given_model_dir_stays():
    assert _config(model_dir="here").model_dir == "here"


def test_files_is_always_a_tuple():
    inputs = INPUTS | {"train": {"files": "a.csv"}, "eval": {"files": ["b.csv", "c.csv"]}}
    config = _config(inputs=inputs)
    assert (config.inputs.train.files, config.inputs.eval.files) == (("a.csv",), ("b.csv", "c.csv"))
    assert config.inputs.train.sample is None


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (1, 1.0),
        (
            {"kind": "exponential", "initial": 0.1, "decay_steps": 10, "decay_rate": 0.5},
            schema.ExponentialRate(kind="exponential", initial=0.1, decay_steps=10, decay_rate=0.5),
        ),
        (
            {"kind": "piecewise", "boundaries": [5], "values": [1, 0.1]},
            schema.PiecewiseRate(kind="piecewise", boundaries=(5,), values=(1.0, 0.1)),
        ),
        (
            {"kind": "linear", "initial": 1, "decay_steps": 9},
            schema.LinearRate(kind="linear", initial=1, decay_steps=9),
        ),
    ],
)
def test_learning_rates(rate, expected):
    config = _config(optimizer={"kind": "sgd", "learning_rate": rate})
    assert config.optimizer.learning_rate == expected


def test_frozen():
    config = _config()
    with pytest.raises(pydantic.ValidationError) as caught:
        config.seed = 3
    assert "frozen" in str(caught.value)


def test_every_field_says_what_it_means():
    silent = [
        f"{section.__name__}.{name}"
        for section in _sections()
        for name, field in section.model_fields.items()
        if not field.description
    ]
    assert silent == []
    assert len(list(_sections())) >= 25


def test_metrics_are_those_of_every_head():
    heads = typing.get_args(typing.get_args(schema.Head)[0])
    kinds = {kind for head in heads for kind in typing.get_args(head.model_fields["kind"].annotation)}
    assert set(schema.METRICS) == set(schema.DEFAULT_METRICS) == kinds
    assert all(metric in schema.METRICS[kind] for kind, metric in schema.DEFAULT_METRICS.items())


@pytest.mark.parametrize(
    "head, selection, expected",
    [
        ({}, {}, ("accuracy", True)),
        ({"kind": "regression"}, {}, ("rmse", False)),
        ({"kind": "multi_label"}, {"min_improvement": 0.1}, ("micro_f1", True)),
        ({"kind": "binary"}, {"metric": "auc"}, ("auc", True)),
        ({"kind": "binary"}, {"metric": "auc", "higher_is_better": False}, ("auc", False)),
    ],
)
def test_selection_is_by_a_metric_of_the_head(head, selection, expected):
    sources = dict.fromkeys(("train", "eval"), {"sample": "stdlib_docs"})
    model = {"kind": "text", "head": {"kind": "classification", **head}}
    config = schema.Config.model_validate(
        {"name": "a", "inputs": {"kind": "text", **sources}, "model_fn": model, "selection": selection}
    )
    assert (config.selection.metric, config.selection.higher_is_better) == expected
    assert schema.Config.model_validate(config.model_dump(mode="json"), strict=False) == config


def test_json_schema():
    described = schema.json_schema()
    assert described["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert described["required"] == ["name", "inputs", "model_fn"]
    assert described["additionalProperties"] is False
    files = described["$defs"]["Source"]["properties"]["files"]["anyOf"]
    assert [option["type"] for option in files] == ["string", "array", "null"]
    assert described["properties"]["optimizer"]["discriminator"]["propertyName"] == "kind"
