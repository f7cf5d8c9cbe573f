import typing

import pydantic
import pytest

from hubpipe.config import problems, schema, wording

SOURCE = {"sample": "stdlib_docs"}
INPUTS = {"kind": "text", "train": SOURCE, "eval": SOURCE}
SMALLEST = {"name": "docs", "inputs": INPUTS, "model_fn": {"kind": "text"}}
INPUT_KINDS = "text, image, tabular, custom"
MODEL_KINDS = "text, image, tabular, keras, custom, imported"
OPTIMIZERS = "adam, adagrad, sgd, momentum, ftrl"
REASON = "not accepted, because regularization inside the optimizer is not exported with the module. "
READERS = wording.either(list(typing.get_args(schema.TensorFlowVersion)))
IN_KERAS = ", in a Keras model the regularizers of its layers"


def _explain(**sections):
    with pytest.raises(pydantic.ValidationError) as caught:
        schema.Config.model_validate(SMALLEST | sections)
    return problems.explain(caught.value)


def _optimizer(**keys):
    return {"optimizer": {"kind": "adam", "learning_rate": 0.1} | keys}


def _rate(**keys):
    return {"optimizer": {"kind": "sgd", "learning_rate": keys}}


@pytest.mark.parametrize(
    ("sections", "path", "message"),
    [
        (
            {"nmae": 1},
            ("nmae",),
            "unknown key (did you mean 'name'?). Known keys: name, seed, model_dir, inputs, model_fn, optimizer, "
            "training, evaluation, metrics, selection, export, store, gates, retrain",
        ),
        (
            {"model_fn": {"kind": "text", "dropuot": {}}},
            ("model_fn", "dropuot"),
            "unknown key (did you mean 'dropout'?). Known keys: kind, encoder, regularizers, dropout, "
            "batch_norm, head",
        ),
        (
            {"model_fn": {"kind": "text", "dropout": {"zzz": 1}}},
            ("model_fn", "dropout", "zzz"),
            "unknown key. Known keys: rate",
        ),
        (
            _optimizer(beta=1),
            ("optimizer", "beta"),
            "unknown key (did you mean 'beta2'?). Known keys: kind, learning_rate, clip_norm, beta1, "
            "beta2, epsilon",
        ),
        (
            _optimizer(l1_regularization_strength=0.1),
            ("optimizer", "l1_regularization_strength"),
            REASON + "Use model_fn.regularizers.kernel.l1 or model_fn.regularizers.embedding.l1" + IN_KERAS,
        ),
        (
            _optimizer(weight_decay=0.1),
            ("optimizer", "weight_decay"),
            REASON + "Use model_fn.regularizers.kernel.l2 or model_fn.regularizers.embedding.l2" + IN_KERAS,
        ),
        ({"training": {"l2": 1}}, ("training", "l2"), None),
        ({"inputs": INPUTS | {"kind": "txt"}}, ("inputs", "kind"),
         f"unknown kind 'txt' (did you mean 'text'?). Known kinds: {INPUT_KINDS}"),
        ({"inputs": {"kind": "audio", "size": 3}}, ("inputs", "kind"),
         f"unknown kind 'audio'. Known kinds: {INPUT_KINDS}"),
        ({"inputs": {"kind": [], "size": 3}}, ("inputs", "kind"),
         f"unknown kind '[]'. Known kinds: {INPUT_KINDS}"),
        ({"model_fn": {}}, ("model_fn", "kind"), f"missing key. Known kinds: {MODEL_KINDS}"),
        (
            {"model_fn": {"kind": "keras"}},
            ("model_fn", "build_fn"),
            "missing key: function that returns a functional or sequential model of Keras 2: "
            "'package.module:function'",
        ),
        (
            {"model_fn": {"kind": "keras", "build_fn": "mypkg.models.encoder"}},
            ("model_fn", "build_fn"),
            "expected function that returns a functional or sequential model of Keras 2: "
            "'package.module:function'; got 'mypkg.models.encoder'",
        ),
        (
            {"optimizer": {"kind": "adamw", "learning_rate": -1}},
            ("optimizer", "kind"),
            f"unknown kind 'adamw' (did you mean 'adam'?). Known kinds: {OPTIMIZERS}",
        ),
        ({"optimizer": {"learning_rate": 1}}, ("optimizer", "kind"), f"missing key. Known kinds: {OPTIMIZERS}"),
        ({"optimizer": {"kind": 5}}, ("optimizer", "kind"), f"unknown kind '5'. Known kinds: {OPTIMIZERS}"),
        (
            {"optimizer": "adam"},
            ("optimizer",),
            "expected keys (kind: 'adam', 'adagrad', 'sgd', 'momentum' or 'ftrl', ...), got 'adam'",
        ),
        (
            {"optimizer": {"kind": "sgd"}},
            ("optimizer", "learning_rate"),
            "missing key: a number, or a schedule over training steps by its kind",
        ),
        (_rate(kind="cosin"), ("optimizer", "learning_rate", "kind"),
         "unknown kind 'cosin' (did you mean 'cosine'?). Known kinds: exponential, cosine, piecewise, linear"),
        (_rate(initial=1), ("optimizer", "learning_rate", "kind"),
         "missing key. Known kinds: exponential, cosine, piecewise, linear"),
        (_rate(kind="cosine", initial=1, decay_steps=9, alpha=2), ("optimizer", "learning_rate", "alpha"),
         "expected a number <= 1, got 2"),
        (_rate(kind="piecewise", boundaries=[], values=[1]), ("optimizer", "learning_rate", "boundaries"),
         "expected at least one value, got an empty list"),
        (_optimizer(learning_rate="abc"), ("optimizer", "learning_rate"), "expected a number, got 'abc'"),
        (_optimizer(learning_rate=True), ("optimizer", "learning_rate"), "expected a number, got true"),
        (_optimizer(learning_rate=[1]), ("optimizer", "learning_rate"), "expected a number, got a list"),
        (_optimizer(learning_rate=0), ("optimizer", "learning_rate"), "expected a number > 0, got 0"),
        (_optimizer(epsilon=float("inf")), ("optimizer", "epsilon"), "expected a finite number, got inf"),
        (_optimizer(beta1=1), ("optimizer", "beta1"), "expected a number < 1, got 1"),
        ({"seed": "yes"}, ("seed",), "expected an integer, got 'yes'"),
        ({"seed": True}, ("seed",), "expected an integer, got true"),
        ({"seed": 3.0}, ("seed",), "expected an integer, got 3.0"),
        ({"seed": -1}, ("seed",), "expected a number >= 0, got -1"),
        ({"name": 2024}, ("name",), "expected text, got 2024 (quote it: '2024')"),
        (
            {"export": {"oldest_reader": 1.15}},
            ("export", "oldest_reader"),
            f"expected {READERS}, got 1.15 (quote it: '1.15')",
        ),
        ({"export": {"oldest_reader": 1.14}}, ("export", "oldest_reader"), f"expected {READERS}, got 1.14"),
        ({"name": None}, ("name",), "expected text, got null"),
        (
            {"name": ".hidden"},
            ("name",),
            "expected letters, digits, '.', '_' and '-', starting with a letter or digit; names the module and "
            "its folder in the store; got '.hidden'",
        ),
        ({"name": "a\n"}, ("name",), None),
        ({"store": {"dir": ""}}, ("store", "dir"), "expected text, got ''"),
        ({"store": None}, ("store",), "expected keys (dir), got null"),
        ({"store": {"dir": "\ud800"}}, ("store", "dir"), "expected text, got '\\ud800'"),
        ({"training": {"early_stopping": 3}}, ("training", "early_stopping"),
         "expected keys (patience, min_improvement), got 3"),
        ({"inputs": INPUTS | {"shuffle": "yes"}}, ("inputs", "shuffle"), "expected true or false, got 'yes'"),
        ({"inputs": INPUTS | {"shuffle": 1}}, ("inputs", "shuffle"), "expected true or false, got 1"),
        ({"inputs": INPUTS | {"format": "cvs"}}, ("inputs", "format"),
         "expected 'auto', 'csv', 'tsv' or 'jsonl', got 'cvs' (did you mean 'csv'?)"),
        ({"inputs": INPUTS | {"format": 1}}, ("inputs", "format"),
         "expected 'auto', 'csv', 'tsv' or 'jsonl', got 1"),
        ({"inputs": {"kind": "text", "train": SOURCE}}, ("inputs", "eval"),
         "missing key: rows to evaluate each checkpoint on"),
        ({"inputs": INPUTS | {"train": {}}}, ("inputs", "train"),
         "expected exactly one of sample, files; got none"),
        ({"inputs": INPUTS | {"train": SOURCE | {"files": "x"}}}, ("inputs", "train"),
         "expected exactly one of sample, files; got sample and files"),
        ({"inputs": INPUTS | {"train": {"files": ["a", 3]}}}, ("inputs", "train", "files", 1),
         "expected text, got 3 (quote it: '3')"),
        ({"inputs": INPUTS | {"train": {"files": {}}}}, ("inputs", "train", "files"),
         "expected a list, got a mapping"),
        ({"inputs": INPUTS | {"train": {"sample": "docs"}}}, ("inputs", "train", "sample"),
         "expected 'stdlib_docs', got 'docs'"),
        ({"model_fn": {"kind": "text", "encoder": {"hidden_units": 128}}}, ("model_fn", "encoder", "hidden_units"),
         "expected a list, got 128"),
        ({"model_fn": {"kind": "text", "encoder": {"ngrams": 5}}}, ("model_fn", "encoder", "ngrams"),
         "expected a number <= 4, got 5"),
        ({"export": {"hyperparameters": ["dropout"]}}, ("export", "hyperparameters", 0),
         "expected 'dropout_rate' or 'batch_norm_momentum', got 'dropout' (did you mean 'dropout_rate'?)"),
    ],
)  # fmt: skip
def test_one_mistake(sections, path, message):
    ((found, text),) = _explain(**sections)
    assert found == path
    if message is not None:
        assert text == message


def test_every_mistake_of_a_config():
    found = _explain(nmae=1, seed="x", optimizer={"kind": "sgd", "l2": 1, "nesterov": True, "learning_rate": -1})
    assert [path for path, _ in found] == [
        ("seed",), ("optimizer", "learning_rate"), ("optimizer", "l2"), ("optimizer", "nesterov"), ("nmae",),
    ]  # fmt: skip
