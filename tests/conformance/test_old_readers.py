"""TensorFlow 1.15 reads and fine-tunes what a younger TensorFlow writes, whatever it is made of."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from tests.conformance import oracles

_READER = pathlib.Path(__file__).with_name("old_reader.py")
_TEXT = ["a b", "c", "", "a a what"]


def _module_fn(is_training):
    """Each layer is there for an op or attribute that TensorFlow 1.15 does not know."""
    text = tf1.placeholder(tf.string, [None], name="text")
    words = tf.strings.split(text)  # DenseBincount
    table = tf.lookup.KeyValueTensorInitializer(["a", "b", "c"], [1, 2, 3], value_dtype=tf.int64)
    ids = tf.ragged.map_flat_values(tf.lookup.StaticHashTable(table, default_value=0).lookup, words)
    embedding = tf1.get_variable("embedding", [4, 3], initializer=_stateless)
    rows = tf.stack([ids.value_rowids(), ids.value_rowids()], axis=1)
    sparse = tf.SparseTensor(rows, ids.values, [ids.nrows(), 1])
    pooled = tf.nn.embedding_lookup_sparse(embedding, sparse, None, combiner="sqrtn")  # int64, a sparse gradient
    pooled = tf.concat([pooled, tf.zeros([ids.nrows() - tf.shape(pooled, tf.int64)[0], 3])], axis=0)
    kernel = tf1.get_variable("kernel", [3, 2], initializer=_stateless, regularizer=_half_l2)
    lengths = tf.ones_like(ids.values, tf.float32)
    sums = _doubled_if_positive(_segment_sums(lengths[:, None], ids.value_rowids()))
    hidden = tf.matmul(pooled, kernel)
    mean = tf1.get_variable("mean", [2], initializer=tf1.zeros_initializer(), trainable=False)
    if is_training:
        batch_mean = tf.reduce_mean(hidden, 0)
        tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, mean.assign(batch_mean).op)  # validate_shape
        hidden = tf.nn.dropout(hidden - batch_mean, rate=0.0)
    else:
        hidden -= mean
    tf.random.stateless_uniform([3], [1, 2])  # nothing needs it
    outputs = {"default": hidden, "pooled": pooled, "lengths": words.row_lengths(), "sums": sums}
    hub.add_signature(inputs={"text": text}, outputs=outputs)


def _half_l2(variable):
    return 0.5 * tf.nn.l2_loss(variable)


def _stateless(shape, dtype=tf.float32, **_):
    return tf.random.stateless_uniform(shape, [3, 4], -1.0, 1.0, dtype)


@tf.function
def _segment_sums(values, rows):
    return tf.sparse.segment_sum(values, tf.range(tf.shape(values)[0]), rows)


@tf.function
def _doubled_if_positive(values):
    return tf.cond(tf.reduce_sum(values) > 0, lambda: 2 * values, lambda: values)


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Our outputs and theirs, dict name -> array."""
    folder = tmp_path_factory.mktemp("old_readers")
    spec = hub.create_module_spec(_module_fn, [((), {"is_training": False}), (("train",), {"is_training": True})])
    assert spec.obstacles("1.15") == []
    assert spec.oldest_reader == "1.15"
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(spec, tags={"train"})
        session.run(tf1.global_variables_initializer())
        module.export(str(folder / "module"), session)
    np.savez(folder / "inputs.npz", text=_TEXT)
    ours = {}
    for tags in ([], ["train"]):
        with tf.Graph().as_default(), tf1.Session() as session:
            outputs = hub.Module(str(folder / "module"), tags=tags)(_TEXT, as_dict=True)
            session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])
            ours.update({f"{'/'.join(tags)}:{key}": value for key, value in session.run(outputs).items()})
    arguments = [str(folder / name) for name in ("module", "inputs.npz", "outputs.npz")]
    oracles.run(oracles.TF115, str(_READER), *arguments)
    return ours, dict(np.load(folder / "outputs.npz"))


@pytest.mark.oracle
@pytest.mark.process
def test_the_same_numbers(answers):
    ours, theirs = answers
    assert theirs[":lengths"].tolist() == [2, 1, 0, 3]
    for name, value in ours.items():
        np.testing.assert_allclose(theirs[name], value, rtol=1e-6, atol=1e-6, err_msg=name)
    assert np.abs(theirs[":default"]).max() > 0.1


@pytest.mark.oracle
@pytest.mark.process
def test_it_can_be_fine_tuned(answers):
    _, theirs = answers
    assert np.unique(theirs["before:embedding"]).size == 12  # the values on disk, not those of an initializer
    np.testing.assert_allclose(theirs["penalty"], 0.25 * np.sum(theirs["before:kernel"] ** 2), rtol=1e-6)
    assert theirs["loss after"] < 0.9 * theirs["loss before"]
    for name in ("embedding", "kernel", "mean"):
        assert np.abs(theirs[f"after:{name}"] - theirs[f"before:{name}"]).max() > 1e-3, name
