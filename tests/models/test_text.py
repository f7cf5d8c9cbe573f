"""Tests of hubpipe.models.text."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from hubpipe.inputs import vocab

TEXTS = ["The cat sat", "cat", ""]
HARD_TEXTS = [
    "",
    " \t\r\n ",
    "one",
    "Don't STOP, 'quoted' words -- a_b-c.d",
    "ÀÉÎ straße ŒUVRE ΑΣ ǅ ПРИВЕТ",
    "日本語 テキスト 中文,分词",
    "emoji 👍🏽 between zero\u200bwidth and non\u00a0breaking\u2028lines",
    "1,000.50 ² ½ ٣٤ Ⅷ",
    "combining e\u0301 and \u0915\u094d\u0937",
    "NUL\x00inside",
    "one two one two three four five",
    "<tag attr=\"a\">&amp;\\n $^.*[x]",
    "word " * 500,
]


class Applied:
    """A module in a graph of its own, with a session."""

    def __init__(self, spec, *, tags=None, trainable=False, signature="default"):
        self.graph = tf.Graph()
        with self.graph.as_default():
            tf1.set_random_seed(1)
            self.module = hub.Module(spec, trainable=trainable, tags=tags)
            infos = self.module.get_input_info_dict(signature)
            self.inputs = {name: tf1.placeholder(info.dtype, info.get_shape()) for name, info in infos.items()}
            self.outputs = self.module(self.inputs, signature=signature, as_dict=True)
            self.session = tf1.Session()
            self.session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])

    def __call__(self, output="default", **inputs):
        return self.session.run(self.outputs[output], {self.inputs[name]: inputs[name] for name in inputs})

    def collection(self, key):
        return self.session.run(self.graph.get_collection(key))

    def load(self, name, value):
        with self.graph.as_default():
            self.module.variable_map[name].load(value, self.session)

    def values(self):
        return self.session.run(self.module.variable_map)


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


def test_a_text_does_not_depend_on_the_others_of_its_batch(create_spec):
    module = Applied(create_spec(encoder={"char_ngrams": [2, 3]}))
    together = module(text=[*TEXTS, *HARD_TEXTS])
    alone = [module(text=[text])[0] for text in [*TEXTS, *HARD_TEXTS]]
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert module(text=[]).shape == (0, 4)


def test_a_text_without_words_is_pooled_to_zeros(create_spec):
    module = Applied(create_spec(encoder={"char_ngrams": [2]}))
    found = module("pooled", text=["", " ?! ", "cat"])
    np.testing.assert_array_equal(found[:2], np.zeros([2, 6]))
    assert np.all(found[2] != 0)


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
