import os

import pytest

from hubpipe.config import checks, schema

SOURCE = {"sample": "stdlib_docs"}
INPUTS = {"kind": "text", "train": SOURCE, "eval": SOURCE}
IMAGES = {"kind": "image", "train": {"sample": "digits"}, "eval": {"sample": "digits"}}
SMALLEST = {"name": "docs", "inputs": INPUTS, "model_fn": {"kind": "text"}}


def _check(**sections):
    return checks.check(schema.Config.model_validate(SMALLEST | sections))


def _piecewise(boundaries, values):
    rate = {"kind": "piecewise", "boundaries": boundaries, "values": values}
    return {"optimizer": {"kind": "sgd", "learning_rate": rate}}


def _keras(export=None, **params):
    model = {"kind": "keras", "build_fn": "mypkg.models:encoder", "params": params}
    return {"model_fn": model, "export": export or {}}


def _text(*, dropout=0.0, **encoder):
    return {"model_fn": {"kind": "text", "encoder": encoder, "dropout": {"rate": dropout}}}


RATE = ("optimizer", "learning_rate")


@pytest.mark.parametrize(
    ("sections", "mistakes"),
    [
        ({}, []),
        (
            {"inputs": INPUTS | {"label": "text"}},
            [(("inputs", "label"), "the same column as inputs.text ('text')")],
        ),
        (
            {"inputs": INPUTS | {"columns": ["label", "txt", "label"]}},
            [
                (("inputs", "columns"), "'label' stands there 2 times"),
                (
                    ("inputs", "text"),
                    "no 'text' in inputs.columns (did you mean 'txt'?). Columns: 'label', 'txt', 'label'",
                ),
            ],
        ),
        ({"inputs": IMAGES, "model_fn": {"kind": "image"}}, []),
        (
            {"inputs": INPUTS | {"train": {"files": "gs://bucket/a.csv"}}},
            [
                (
                    ("inputs", "eval", "sample"),
                    "still a sample, while inputs.train has files; set inputs.eval.files",
                )
            ],
        ),
        (
            {"inputs": IMAGES | {"eval": {"files": "gs://bucket/a.tar"}}, "model_fn": {"kind": "image"}},
            [
                (
                    ("inputs", "train", "sample"),
                    "still a sample, while inputs.eval has files; set inputs.train.files",
                )
            ],
        ),
        (
            {
                "inputs": {"kind": "tabular", "train": {"files": "gs://a.csv"}, "eval": {"sample": "unicode"}},
                "model_fn": {"kind": "tabular"},
            },
            [
                (
                    ("inputs", "eval", "sample"),
                    "still a sample, while inputs.train has files; set inputs.eval.files",
                )
            ],
        ),
        ({"inputs": IMAGES, "model_fn": {"kind": "keras", "build_fn": "mypkg.models:encoder"}}, []),
        (
            {"inputs": IMAGES},
            [
                (
                    ("model_fn", "kind"),
                    "'text' does not take inputs.kind: image. Kinds that do: image, keras, custom, imported",
                )
            ],
        ),
        (
            {"inputs": IMAGES | {"image": "a", "label": "a"}, "model_fn": {"kind": "image"}},
            [(("inputs", "label"), "the same column as inputs.image ('a')")],
        ),
        (
            {"inputs": IMAGES | {"image": "path", "columns": ["path", "lable"]}, "model_fn": {"kind": "image"}},
            [
                (
                    ("inputs", "label"),
                    "no 'label' in inputs.columns (did you mean 'lable'?). Columns: 'path', 'lable'",
                )
            ],
        ),
        (_piecewise([10, 20], [1, 0.1, 0.01]), []),
        (
            _piecewise([20, 10], [1, 0.1]),
            [
                ((*RATE, "values"), "expected one more than boundaries, got 2 values and 2 boundaries"),
                ((*RATE, "boundaries"), "expected ascending steps, got 20 before 10"),
            ],
        ),
        ({"selection": {"metric": "loss", "higher_is_better": False}}, []),
        (
            {"selection": {"metric": "acc"}},
            [
                (
                    ("selection", "metric"),
                    "unknown metric 'acc'. Metrics of classification: accuracy, top_k_accuracy, macro_f1, loss",
                )
            ],
        ),
        (
            {"selection": {"metric": "loss", "higher_is_better": True}},
            [
                (
                    ("selection", "higher_is_better"),
                    "true contradicts selection.metric: loss, where it is false. Leave the key out",
                )
            ],
        ),
        (
            {
                "model_fn": {"kind": "text", "head": {"kind": "regression"}},
                "selection": {"metric": "accuracy"},
                "gates": {
                    "quality": {
                        "thresholds": {"auc": {"at_least": 0.5}, "rmse": {"at_most": 3.0}},
                        "max_regression": {"mse": 0.1},
                        "slice_column": "place",
                        "slices": [{"at_most": 1.0}, {"metric": "r3"}],
                    }
                },
            },
            [
                (("selection", "metric"), "unknown metric 'accuracy'. Metrics of regression: rmse, mae, r2, loss"),
                (("gates", "quality", "slices", 1), "expected at_least, at_most, or both"),
                (
                    ("gates", "quality", "thresholds", "auc"),
                    "unknown metric 'auc'. Metrics of regression: rmse, mae, r2, loss",
                ),
                (
                    ("gates", "quality", "max_regression", "mse"),
                    "unknown metric 'mse' (did you mean 'rmse'?). Metrics of regression: rmse, mae, r2, loss",
                ),
                (
                    ("gates", "quality", "slices", 1, "metric"),
                    "unknown metric 'r3'. Metrics of regression: rmse, mae, r2, loss",
                ),
            ],
        ),
        (
            {
                "gates": {
                    "quality": {
                        "thresholds": {"accuracy": {}, "loss": {"at_least": 0.9, "at_most": 0.5}},
                        "slices": [{"at_least": 0.5}],
                    }
                }
            },
            [
                (
                    ("gates", "quality", "slices"),
                    "they need slice_column, the column of the evaluation data that groups rows",
                ),
                (("gates", "quality", "thresholds", "accuracy"), "expected at_least, at_most, or both"),
                (
                    ("gates", "quality", "thresholds", "loss"),
                    "at_least 0.9 is above at_most 0.5; nothing keeps to both",
                ),
            ],
        ),
        (
            {"inputs": INPUTS | {"text_pair": "text"}},
            [
                (("inputs", "text_pair"), "the same column as inputs.text ('text')"),
            ],
        ),
        (
            _text(pair={}, pooling="conv", embeddings={"file": "/nowhere/glove.txt"}),
            [
                (
                    ("model_fn", "encoder", "pair"),
                    "for pairs of texts; set inputs.text_pair to the column of the second text",
                ),
                (
                    ("model_fn", "encoder", "ngrams"),
                    "2 with pooling: conv, whose conv.widths are its n-grams. Set it to 1",
                ),
                (("model_fn", "encoder", "embeddings", "file"), "no file '/nowhere/glove.txt'"),
            ],
        ),
        (
            {"inputs": INPUTS | {"weight": "text"}},
            [(("inputs", "weight"), "the same column as inputs.text ('text')")],
        ),
        (
            {"export": {"hyperparameters": ["dropout_rate", "dropout_rate"]}},
            [(("export", "hyperparameters"), "'dropout_rate' stands there 2 times")],
        ),
        (_keras(dropout_rate=0, batch_norm_momentum=0.5, units=[3, "many"]), []),
        (_keras({"hyperparameters": []}, dropout_rate="low"), []),
        (
            _keras(dropout_rate="low", batch_norm_momentum=1),
            [
                (
                    ("model_fn", "params", "dropout_rate"),
                    "it is in export.hyperparameters: expected a number >= 0 and < 1, got 'low'",
                ),
                (
                    ("model_fn", "params", "batch_norm_momentum"),
                    "it is in export.hyperparameters: expected a number >= 0 and < 1, got 1",
                ),
            ],
        ),
    ],
)
def test_contradictions(sections, mistakes):
    assert _check(**sections) == mistakes


def _directories(**sections):
    return checks.directories(schema.Config.model_validate(SMALLEST | sections))


def test_directories_that_cannot_be_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("")
    assert _directories(model_dir="taken/run", store={"dir": "taken"}) == [
        (("model_dir",), f"'taken/run' cannot be a directory: '{tmp_path}/taken' is a file"),
        (("store", "dir"), f"'taken' cannot be a directory: '{tmp_path}/taken' is a file"),
    ]


def test_directories_without_permission(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: path != str(tmp_path))
    assert _directories(model_dir=f"{tmp_path}/a/b") == [
        (("model_dir",), f"'{tmp_path}/a/b' cannot be written: no permission in '{tmp_path}'")
    ]


def test_directories_are_not_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert _directories(model_dir="a/b", store={"dir": "gs://bucket/modules"}) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("batch_norm", "lines"),
    [
        ({}, []),
        ({"momentum": 0.99}, []),
        ({"momentum": 0.999, "enabled": False}, []),
        (
            {"momentum": 0.999},
            [
                "model_fn.batch_norm.momentum: 0.999 is too high for fine-tuning: the moving averages need some "
                "1000 steps to follow new data, more than a short fine-tuning has. Use at most 0.99"
            ],
        ),
    ],
)
def test_warnings(batch_norm, lines):
    model = {"kind": "text", "batch_norm": batch_norm}
    assert checks.warnings(schema.Config.model_validate(SMALLEST | {"model_fn": model})) == lines


@pytest.mark.parametrize(
    ("hyperparameters", "lines"),
    [
        (
            ["batch_norm_momentum"],
            [
                "model_fn.params.batch_norm_momentum: 0.995 is too high for fine-tuning: the moving averages need "
                "some 200 steps to follow new data, more than a short fine-tuning has. Use at most 0.99"
            ],
        ),
        ([], []),  # nobody knows what the function makes of it
    ],
)
def test_warnings_for_a_keras_model(hyperparameters, lines):
    sections = _keras({"hyperparameters": hyperparameters}, batch_norm_momentum=0.995)
    assert checks.warnings(schema.Config.model_validate(SMALLEST | sections)) == lines


@pytest.mark.parametrize(
    ("sections", "lines"),
    [
        (_text(), []),  # the default is of no effect, and was not asked for
        (_text(word_dropout=0.5, dropout=0.1), []),
        (_text(word_dropout=0.0), []),
        (
            _text(word_dropout=0.5),
            [
                "model_fn.encoder.word_dropout: 0.5 has no effect while model_fn.dropout.rate is 0, which turns "
                "all dropout off. Set a rate above 0, or word_dropout: 0"
            ],
        ),
    ],
)
def test_word_dropout_without_dropout_is_told(sections, lines):
    assert checks.warnings(schema.Config.model_validate(SMALLEST | sections)) == lines


APART = {"train": "1", "eval": "2"}


@pytest.mark.parametrize(
    ("num_train", "batch_norm", "lines"),
    [
        (128 * 10, {}, []),
        (
            128 * 5,
            {},
            [
                "model_fn.batch_norm.momentum: 0.9 is high for 640 training rows in batches of 128: the moving "
                "averages need some 10 steps to follow, a pass over the data has 5.0. Use at most 0.8, or smaller "
                "batches"
            ],
        ),
        (
            64,
            {"momentum": 0.5},
            [
                "model_fn.batch_norm.momentum: 0.5 is high for 64 training rows in batches of 128: the moving "
                "averages need some 2 steps to follow, a pass over the data has 0.5. Use smaller batches"
            ],
        ),
        (64, {"enabled": False}, []),
        (64, {"momentum": 0.999}, []),  # too high for any data, as the other warning says
    ],
)
def test_warnings_of_the_data(num_train, batch_norm, lines):
    model = {"kind": "text", "batch_norm": batch_norm}
    config = schema.Config.model_validate(SMALLEST | {"model_fn": model, "training": {"evaluate_every_steps": 10}})
    assert checks.data_warnings(config, num_train=num_train, fingerprint=APART) == lines


@pytest.mark.parametrize(("num_train", "most"), [(1000, None), (309, 120), (2, 1)])
def test_a_first_evaluation_after_many_passes(num_train, most):
    model = {"kind": "text", "batch_norm": {"enabled": False}}
    config = schema.Config.model_validate(SMALLEST | {"model_fn": model})
    found = checks.data_warnings(config, num_train=num_train, fingerprint=APART)
    assert len(found) == (most is not None)
    if most is not None:
        passes = f"{200 * 128 / num_train:.0f}"
        assert found[0].startswith(f"training.evaluate_every_steps: 200 steps of 128 rows are {passes} passes")
        assert f"Use at most {most}, and" in found[0]


def test_what_a_function_tells_of_the_data_may_be_of_both_splits():
    inputs = {"kind": "custom", "input_fn": "mypkg.data:input_fn", "fingerprint_fn": "mypkg.data:snapshot"}
    sections = {"inputs": inputs, "model_fn": {"kind": "custom", "module_fn": "mypkg.models:encoder"}}
    config = schema.Config.model_validate(SMALLEST | sections)
    assert checks.data_warnings(config, num_train=10**6, fingerprint={"train": "1", "eval": "1"}) == []


def test_a_slice_column_without_bounds_is_told():
    sections = {"gates": {"quality": {"slice_column": "place"}}}
    assert checks.warnings(schema.Config.model_validate(SMALLEST | sections)) == [
        "gates.quality.slice_column: place has no effect without gates.quality.slices, the bounds for each group "
        "of rows"
    ]


def test_rows_that_are_trained_on_and_judged_by():
    config = schema.Config.model_validate(SMALLEST | {"selection": {"metric": "loss"}})
    assert checks.data_warnings(config, num_train=10**6, fingerprint={"train": "1", "eval": "1"}) == [
        "inputs.eval: its rows are those of inputs.train; loss of rows that were trained on says nothing of new "
        "ones. Give it rows of its own"
    ]


@pytest.mark.parametrize(("steps", "told"), [(299, False), (300, True)])
def test_vectors_that_are_never_tuned_are_told(steps, told):
    embeddings = {"file": "glove.txt", "train": "tuned_after", "tuned_after_steps": steps}
    sections = _text(embeddings=embeddings) | {"training": {"max_steps": 300}}
    found = checks.warnings(schema.Config.model_validate(SMALLEST | sections))
    assert found == told * [
        "model_fn.encoder.embeddings.tuned_after_steps: after 300 steps nothing is tuned, training ends at step "
        "300 (training.max_steps). Use fewer, or train: frozen"
    ]


def test_inputs_of_ones_own():
    inputs = {"kind": "custom", "input_fn": "mypkg.data:input_fn", "labels": ["a", "b", "a"]}
    assert _check(inputs=inputs, model_fn={"kind": "custom", "module_fn": "mypkg.models:encoder"}) == [
        (("inputs", "labels"), "'a' stands there 2 times")
    ]
    assert _check(inputs=inputs | {"labels": None}) == [
        (
            ("model_fn", "kind"),
            "'text' does not take inputs.kind: custom. Kinds that do: custom, keras, imported",
        )
    ]


def test_metrics_of_ones_own():
    metric = {"fn": "mypkg.metrics:kappa", "higher_is_better": False}
    assert _check(metrics={"kappa": metric}, selection={"metric": "kappa"}) == []
    sections = {"metrics": {"kappa": metric}, "selection": {"metric": "kappa"}}
    config = schema.Config.model_validate(SMALLEST | sections)
    assert config.selection.higher_is_better is False
    assert _check(metrics={"accuracy": metric}) == [
        (("metrics", "accuracy"), "the head classification has a metric of that name; give yours another")
    ]
    gates = {"quality": {"thresholds": {"kapa": {"at_least": 0.5}}}}
    assert _check(metrics={"kappa": metric}, gates=gates) == [
        (
            ("gates", "quality", "thresholds", "kapa"),
            "unknown metric 'kapa' (did you mean 'kappa'?). Metrics of classification: accuracy, top_k_accuracy, "
            "macro_f1, loss, kappa",
        )
    ]


def test_a_head_of_ones_own_is_selected_by_its_loss():
    model = {"kind": "text", "head": {"kind": "custom", "head_fn": "mypkg.heads:Head"}}
    config = schema.Config.model_validate(SMALLEST | {"model_fn": model})
    assert (config.selection.metric, config.selection.higher_is_better) == ("loss", False)
