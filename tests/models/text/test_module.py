"""Tests of hubpipe.models.text.module."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.config import schema
from hubpipe.inputs import vocab
from hubpipe.models.text import module as module_lib
from tests.models.text.applied import HARD_TEXTS, Applied

TEXTS = ["The cat sat", "cat", ""]


@pytest.mark.parametrize("pooling", ["mean", "sqrtn"])
@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("ngrams", [1, 2, 3])
def test_pooled_are_the_embeddings_of_the_tokens_of_vocab(create_spec, ngrams, lowercase, pooling):
    tokens = [vocab.tokenize(text, ngrams=ngrams, lowercase=lowercase) for text in HARD_TEXTS]
    vocabulary = sorted({token for known in tokens[::2] for token in known})  # the others are OOV, in part
    encoder = {"ngrams": ngrams, "lowercase": lowercase, "pooling": pooling}
    module = Applied(create_spec(vocabulary, encoder=encoder))
    table = np.random.default_rng(0).normal(size=[len(vocabulary) + 1, 3]).astype(np.float32)
    module.load("embedding", table)
    rows = {token: row for row, token in enumerate(vocabulary)}
    found = module("pooled", text=HARD_TEXTS)
    for text, known, vector in zip(HARD_TEXTS, tokens, found, strict=True):
        total = sum((table[rows.get(token, len(vocabulary))] for token in known), np.zeros(3))
        divisor = len(known) if pooling == "mean" else len(known) ** 0.5
        np.testing.assert_allclose(vector, total / max(divisor, 1), rtol=1e-4, atol=1e-5, err_msg=repr(text))


ENCODERS = {
    "mean": {},
    "boundaries": {"boundaries": True, "ngrams": 3},
    "attention": {"pooling": "attention"},
    "conv": {"pooling": "conv", "ngrams": 1, "conv": {"widths": [1, 2, 5], "filters": 4}},
    "conv, cut": {"pooling": "conv", "ngrams": 1, "conv": {"max_words": 3}},
}


@pytest.mark.parametrize("name", ENCODERS)
def test_a_text_does_not_depend_on_the_others_of_its_batch(create_spec, name):
    module = Applied(create_spec(encoder={"char_ngrams": [2, 3], **ENCODERS[name]}))
    for variable, value in module.values().items():  # queries and biases start at 0
        noise = np.random.default_rng(len(variable)).normal(size=value.shape)
        module.load(variable, noise.astype(np.float32) ** 2)
    together = module(text=[*TEXTS, *HARD_TEXTS])
    alone = [module(text=[text])[0] for text in [*TEXTS, *HARD_TEXTS]]
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)
    assert np.ptp(together, axis=0).max() > 0.1
    assert module(text=[]).shape == (0, 4)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_text_without_words_is_pooled_to_zeros(create_spec, name):
    module = Applied(create_spec(encoder={"char_ngrams": [2], **ENCODERS[name]}))
    found = module("pooled", text=["", " ?! ", "cat"])
    np.testing.assert_array_equal(found[:2], np.zeros_like(found[:2]))
    assert np.any(found[2] != 0)
    np.testing.assert_array_equal(module("pooled", text=[" ", ""]), np.zeros_like(found[:2]))


def test_unknown_words_share_the_buckets(create_spec):
    module = Applied(create_spec(encoder={"oov_buckets": 2, "ngrams": 1}))
    assert module.values()["embedding"].shape == (len(["the", "cat", "sat", "the cat"]) + 2, 3)
    found = module("pooled", text=[f"unknown{number}" for number in range(50)] + ["cat"])
    distinct = np.unique(found, axis=0)
    assert len(distinct) == 3


def test_character_ngrams_tell_unknown_words_apart(create_spec):
    module = Applied(create_spec(encoder={"char_ngrams": [3]}))
    found = module("pooled", text=["cats", "dogs", "dogs", "x"])
    assert np.any(found[0, 3:] != found[1, 3:])
    np.testing.assert_array_equal(found[1], found[2])
    assert np.any(found[3, 3:] != 0)  # "<x>" is a trigram


def test_the_output_is_the_last_hidden_layer(create_spec):
    spec = create_spec(encoder={"hidden_units": [5, 4], "activation": "tanh"}, batch_norm={"enabled": False})
    module = Applied(spec)
    values = module.values()
    expected = module("pooled", text=TEXTS)
    for layer in ("hidden_1", "hidden_2"):
        expected = np.tanh(expected @ values[f"{layer}/kernel"] + values[f"{layer}/bias"])
    np.testing.assert_allclose(module(text=TEXTS), expected, atol=1e-6)


def test_signatures(create_spec):
    spec = create_spec()
    for tags in (set(), {"train"}):
        assert sorted(spec.get_signature_names(tags)) == ["default", "hyperparameters", "labels"]
    (text,) = spec.get_input_info_dict().values()
    assert (text.dtype, text.get_shape().as_list()) == (tf.string, [None])
    outputs = spec.get_output_info_dict()
    assert {name: info.get_shape().as_list() for name, info in outputs.items()} == {
        "default": [None, 4],
        "pooled": [None, 3],
    }
    inputs = spec.get_input_info_dict("hyperparameters")
    assert sorted(inputs) == ["batch_norm_momentum", "dropout_rate", "text"]
    assert inputs["dropout_rate"].get_shape().as_list() == []


def test_without_hyperparameters_there_is_no_such_signature(create_spec):
    assert sorted(create_spec(hyperparameters=()).get_signature_names()) == ["default", "labels"]


def test_labels_signature_lists_the_classes(create_spec):
    labels = Applied(create_spec(), signature="labels")()
    assert [label.decode() for label in labels] == ["no", "sehr schön", "yes"]


def test_variants_really_differ(create_spec):
    spec = create_spec(dropout={"rate": 0.5})
    inference = Applied(spec, trainable=True)
    training = Applied(spec, trainable=True, tags={"train"})
    assert inference.graph.get_collection(tf1.GraphKeys.UPDATE_OPS) == []
    assert len(training.graph.get_collection(tf1.GraphKeys.UPDATE_OPS)) == 2
    assert sorted(inference.values()) == sorted(training.values())
    np.testing.assert_array_equal(inference(text=TEXTS), inference(text=TEXTS))
    runs = [training(text=TEXTS) for _ in range(10)]
    assert any(np.any(run != runs[0]) for run in runs)


def test_hyperparameters_take_effect(create_spec):
    spec = create_spec(dropout={"rate": 0.9}, batch_norm={"momentum": 0.5})
    module = Applied(spec, trainable=True, tags={"train"}, signature="hyperparameters")
    settings = {"text": TEXTS, "dropout_rate": 0.0}
    runs = [module(**settings, batch_norm_momentum=0.9) for _ in range(5)]
    for run in runs:
        np.testing.assert_array_equal(run, runs[0])

    def moved(momentum):
        feeds = {**settings, "batch_norm_momentum": momentum}
        module.load("hidden_1/moving_variance", np.ones(4, np.float32))
        updates = module.graph.get_collection(tf1.GraphKeys.UPDATE_OPS)
        module.session.run(updates, {module.inputs[name]: value for name, value in feeds.items()})
        return 1 - module.values()["hidden_1/moving_variance"]

    np.testing.assert_allclose(moved(0.75), 2.5 * moved(0.9), rtol=1e-4)


def test_nothing_is_dropped_of_the_output(create_spec):
    spec = create_spec(encoder={"activation": "tanh"}, dropout={"rate": 0.5}, batch_norm={"enabled": False})
    module = Applied(spec, trainable=True, tags={"train"})
    module.load("hidden_1/bias", np.full(4, 0.5, np.float32))
    found = module(text=[""] * 50)  # zeros, whatever is dropped of them, and then the bias
    np.testing.assert_allclose(found, np.full([50, 4], np.tanh(0.5)), rtol=1e-5)


def test_words_are_left_out_in_training_alone(create_spec):
    encoder = {"ngrams": 1, "char_ngrams": [3], "word_dropout": 0.75}
    spec = create_spec(encoder=encoder, dropout={"rate": 0.5})
    texts = ["x"] * 1000  # one word, and one trigram: "<x>"
    whole = Applied(spec)("pooled", text=texts)
    training = Applied(spec, tags={"train"}, signature="hyperparameters")
    found = training("pooled", text=texts, dropout_rate=0.5, batch_norm_momentum=0.9)
    for part in (slice(0, 3), slice(3, 6)):  # of words, of characters
        left_out = np.all(found[:, part] == 0, axis=1)
        assert left_out.mean() == pytest.approx(0.75, abs=0.05)
        assert np.all(whole[:, part] != 0)
    without = training("pooled", text=texts, dropout_rate=0.0, batch_norm_momentum=0.9)
    assert np.all(without != 0)


def test_regularization_losses_are_those_of_the_config(create_spec):
    regularizers = {"embedding": {"l2": 0.5}, "kernel": {"l1": 0.25, "l2": 0.125}}
    module = Applied(create_spec(regularizers=regularizers), trainable=True, tags={"train"})
    values = module.values()
    kernel = values["hidden_1/kernel"]
    expected = [
        0.5 * np.sum(values["embedding"] ** 2),
        0.25 * np.sum(np.abs(kernel)) + 0.125 * np.sum(kernel**2),
    ]
    found = module.collection(tf1.GraphKeys.REGULARIZATION_LOSSES)
    assert sorted(found) == pytest.approx(sorted(expected), rel=1e-5)


def test_without_regularizers_there_are_no_losses(create_spec):
    module = Applied(create_spec(), trainable=True, tags={"train"})
    assert module.collection(tf1.GraphKeys.REGULARIZATION_LOSSES) == []


def test_the_regularizers_are_of_variables_that_are_there(create_spec):
    for encoder in (*ENCODERS.values(), {"pair": {}}, {"pair": {"hidden_units": [3, 2]}}):
        spec = create_spec(encoder={"char_ngrams": [2], **encoder})
        model = schema.TextModel.model_validate({"kind": "text", "encoder": {"hidden_units": [4], **encoder}})
        kernels = {name for name in spec.variable_shapes() if name.endswith("kernel")}
        assert {name for name in module_lib.regularizers(model, {}) if name.endswith("kernel")} == kernels


PAIRS = {"text": ["the cat", "sat", ""], "text_b": ["the cat", "dog", "cat"]}


def test_a_pair_is_what_both_encodings_make(create_spec):
    spec = create_spec(encoder={"pair": {"hidden_units": []}})
    found = Applied(spec)(**PAIRS)
    single = Applied(spec, signature="text")
    left, right = single(text=PAIRS["text"]), single(text=PAIRS["text_b"])
    expected = np.concatenate([left, right, np.abs(left - right), left * right], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert np.any(left != right)
    assert single("pooled", text=PAIRS["text"]).shape == (3, 3)


@pytest.mark.parametrize("combine, dim", [(["concat"], 8), (["difference"], 4), (["product", "difference"], 8)])
def test_ways_to_combine(create_spec, combine, dim):
    spec = create_spec(encoder={"pair": {"combine": combine, "hidden_units": []}})
    assert Applied(spec)(**PAIRS).shape == (3, dim)


def test_a_pair_has_dense_layers_of_its_own(create_spec):
    spec = create_spec(encoder={"pair": {"hidden_units": [6, 5]}})
    assert spec.get_output_info_dict()["default"].get_shape().as_list() == [None, 5]
    assert sorted(spec.get_signature_names()) == ["default", "hyperparameters", "labels", "text"]
    assert sorted(spec.get_input_info_dict("hyperparameters")) == [
        "batch_norm_momentum", "dropout_rate", "text", "text_b"
    ]  # fmt: skip
    module = Applied(spec)
    values = module.values()
    assert values["pair_1/kernel"].shape == (16, 6)
    assert values["pair_2/bias"].shape == (5,)
    assert module(**PAIRS).shape == (3, 5)
    assert np.any(module(**PAIRS) != module(text=PAIRS["text_b"], text_b=PAIRS["text"]))


def test_both_texts_of_a_pair_train_the_averages_once(create_spec):
    spec = create_spec(encoder={"pair": {}}, batch_norm={"momentum": 0.5})
    pair = Applied(spec, trainable=True, tags={"train"})
    single = Applied(spec, trainable=True, tags={"train"}, signature="text")
    updates = [applied.graph.get_collection(tf1.GraphKeys.UPDATE_OPS) for applied in (pair, single)]
    assert [len(ops) for ops in updates] == [2, 2]
    pair.session.run(updates[0], {pair.inputs[name]: texts for name, texts in PAIRS.items()})
    single.session.run(updates[1], {single.inputs["text"]: PAIRS["text"] + PAIRS["text_b"]})
    for name in ("hidden_1/moving_mean", "hidden_1/moving_variance"):
        assert np.any(pair.values()[name] != Applied(spec).values()[name])
        np.testing.assert_allclose(pair.values()[name], single.values()[name], rtol=1e-5, atol=1e-7)


def test_words_of_a_convolution_are_left_out_whole(create_spec):
    encoder = {"pooling": "conv", "ngrams": 1, "char_ngrams": [2], "conv": {"widths": [1]}, "word_dropout": 0.75}
    training = Applied(create_spec(encoder=encoder, dropout={"rate": 0.5}), tags={"train"})
    training.load("conv_1/bias", np.full(64, -1e-7, np.float32))
    training.load("conv_1/kernel", np.ones([6, 64], np.float32))
    training.load("embedding", np.ones([5, 3], np.float32))
    training.load("char_embedding", np.ones([5000, 3], np.float32))
    found = training("pooled", text=["cat"] * 1000)
    assert set(np.unique(found[:, 0])) == {0.0, np.float32(6 - 1e-7)}
    assert np.mean(found[:, 0] == 0) == pytest.approx(0.75, abs=0.05)


@pytest.mark.parametrize("encoder", [*ENCODERS.values(), {"pair": {}}], ids=[*ENCODERS, "pair"])
def test_the_oldest_tensorflow_can_read_it(create_spec, encoder):
    assert create_spec(encoder={"char_ngrams": [2, 3], **encoder}).obstacles("1.15") == []
