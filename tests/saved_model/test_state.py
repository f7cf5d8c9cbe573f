"""Tests of hubpipe.saved_model.state: variables, tables and files, each once."""

import os

import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, hub
from tests.saved_model import modules
from tests.saved_model.modules import VARIANTS


def _keys(size=2):
    return tf.lookup.KeyValueTensorInitializer(["a", "b"][:size], [7, 8][:size], value_dtype=tf.int64)


def _words():
    return tf1.placeholder(tf.string, [None])


ASKED = tf.constant(["b", "c", "a"])


def test_a_table_of_both_variants_is_one(twin_of):
    def module_fn(is_training):
        words = _words()
        if is_training:  # so that the nodes have other names
            tf.constant(1.0, name="hash_table")
        ids = tf.lookup.StaticHashTable(_keys(), default_value=-1).lookup(words)
        hub.add_signature(inputs=words, outputs=ids)

    loaded = twin_of(module_fn, VARIANTS)
    for training in (False, True):
        assert loaded(ASKED, training=training).numpy().tolist() == [8, -1, 7]


def test_tables_with_other_contents_are_others(twin_of):
    def module_fn(is_training):
        words = _words()
        size = 1 if is_training else 2
        hub.add_signature(inputs=words, outputs=tf.lookup.StaticHashTable(_keys(size), -1).lookup(words))

    loaded = twin_of(module_fn, VARIANTS)
    assert len(loaded.tables) == 2
    assert loaded(ASKED).numpy().tolist() == [8, -1, 7]
    assert loaded(ASKED, training=True).numpy().tolist() == [-1, -1, 7]


def test_two_tables_on_one_file(twin_of, tmp_path):
    vocabulary = modules.vocabulary(tmp_path / "words", "a", "b")
    line = tf.lookup.TextFileIndex

    def module_fn():
        words, ids = _words(), tf1.placeholder(tf.int64, [None])
        back = tf.lookup.TextFileInitializer(
            str(vocabulary), tf.int64, line.LINE_NUMBER, tf.string, line.WHOLE_LINE
        )
        hub.add_signature(inputs=words, outputs=modules.lookup(words, vocabulary))
        hub.add_signature("words", inputs=ids, outputs=tf.lookup.StaticHashTable(back, "?").lookup(ids))

    loaded = twin_of(module_fn)
    assert loaded(ASKED).numpy().tolist() == [1, -1, 0]
    assert loaded.words(tf.constant([1, 5, 0], tf.int64)).numpy().tolist() == [b"b", b"?", b"a"]
    assert os.listdir(tmp_path / "twin" / "assets") == ["vocab.txt"]


def test_several_files_of_one_name(twin_of, tmp_path):
    files = [modules.vocabulary(tmp_path / str(number), *words) for number, words in enumerate(("ab", "ba"))]

    def module_fn():
        words = _words()
        first, second = (modules.lookup(words, path) for path in files)
        hub.add_signature(inputs=words, outputs={"first": first, "second": second})

    outputs = twin_of(module_fn)(ASKED)
    assert outputs["first"].numpy().tolist() == [1, -1, 0]
    assert outputs["second"].numpy().tolist() == [0, -1, 1]
    assert len(os.listdir(tmp_path / "twin" / "assets")) == 2


def _counter(table_of):
    """A module_fn that counts the calls with each word in a mutable table."""

    def module_fn(is_training):
        words = _words()
        handle = table_of()
        default = tf.constant(0, tf.int64)
        counts = tf.raw_ops.LookupTableFindV2(table_handle=handle, keys=words, default_value=default)
        if is_training:
            insert = tf.raw_ops.LookupTableInsertV2(table_handle=handle, keys=words, values=counts + 1)
            tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, insert)
        hub.add_signature(inputs=words, outputs=counts)

    return module_fn


def _mutable_table():
    return tf.raw_ops.MutableHashTableV2(key_dtype=tf.string, value_dtype=tf.int64)


def test_a_mutable_table_is_read_before_it_is_written(twin_of, tmp_path):
    loaded = twin_of(_counter(_mutable_table), VARIANTS)
    word = tf.constant(["a"])
    assert [loaded(word, training=True).numpy()[0] for _ in range(3)] == [0, 1, 2]
    assert loaded(word).numpy()[0] == 3
    other = tf.saved_model.load(str(tmp_path / "twin"))
    assert other(word).numpy()[0] == 0  # the tables of two twins in one process are two


def test_a_mutable_table_of_vectors(twin_of):
    def module_fn():
        words = _words()
        handle = tf.raw_ops.MutableHashTableOfTensorsV2(
            key_dtype=tf.string, value_dtype=tf.float32, value_shape=[2]
        )
        values = tf.constant([[1.0, 2.0]])
        fill = tf.raw_ops.LookupTableImportV2(table_handle=handle, keys=tf.constant(["a"]), values=values)
        tf1.add_to_collection(tf1.GraphKeys.TABLE_INITIALIZERS, fill)
        default = tf.zeros([2])
        found = tf.raw_ops.LookupTableFindV2(table_handle=handle, keys=words, default_value=default)
        hub.add_signature(inputs=words, outputs=found)

    assert twin_of(module_fn)(tf.constant(["a", "b"])).numpy().tolist() == [[1, 2], [0, 0]]


def test_what_a_savedmodel_cannot_hold_is_named(twin_of):
    def module_fn():
        handle = tf.raw_ops.AnonymousMutableHashTable(key_dtype=tf.string, value_dtype=tf.int64)
        hub.add_signature(outputs=tf.raw_ops.LookupTableSizeV2(table_handle=handle))

    with pytest.raises(errors.ModuleSpecError) as caught:
        twin_of(module_fn)
    assert str(caught.value) == (
        "The graph variant tags=[] holds state in node 'AnonymousMutableHashTable' (AnonymousMutableHashTable); "
        "a SavedModel of TensorFlow 2 can hold variables, HashTableV2, MutableHashTableV2, "
        "MutableHashTableOfTensorsV2."
    )


def test_a_variable_that_differs_between_the_variants(twin_of):
    def module_fn(is_training):
        size = 3 if is_training else 2
        variable = tf1.get_variable("v", [size], initializer=tf1.zeros_initializer())
        hub.add_signature(outputs=tf.reduce_sum(variable))

    with pytest.raises(errors.ModuleSpecError) as caught:
        twin_of(module_fn, VARIANTS)
    told = "Variable 'v' is float32 (3,) in the graph variant tags=['train'], float32 (2,) in another."
    assert str(caught.value) == told


def test_a_variable_of_one_variant_alone(twin_of):
    def module_fn(is_training):
        scale = tf1.get_variable("scale", initializer=2.0)
        if is_training:
            scale = scale * tf1.get_variable("warmth", initializer=3.0)
        hub.add_signature(outputs=tf.identity(scale))

    loaded = twin_of(module_fn, VARIANTS)
    assert sorted(variable.name for variable in loaded.trainable_variables) == ["scale:0", "warmth:0"]
    assert (loaded().numpy(), loaded(training=True).numpy()) == (2.0, 6.0)


def test_a_variable_that_only_training_trains(twin_of):
    def module_fn(is_training):
        scale = tf1.get_variable("scale", initializer=2.0, trainable=is_training)
        hub.add_signature(outputs=tf.identity(scale))

    loaded = twin_of(module_fn, VARIANTS)
    assert [variable.name for variable in loaded.trainable_variables] == ["scale:0"]


def test_reads_come_before_writes_whatever_their_order_in_the_graph(twin_of):
    def module_fn(is_training):
        total = tf1.get_variable("total", initializer=1.0, trainable=False)
        if is_training:
            tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, total.assign(5.0).op)
        gathered = tf.identity(total.read_value())
        hub.add_signature(outputs=gathered)

    loaded = twin_of(module_fn, VARIANTS)
    assert loaded(training=True).numpy() == 1.0
    assert loaded().numpy() == 5.0


def test_a_read_that_waits_for_a_write_stays_behind_it(twin_of):
    def module_fn():
        total = tf1.get_variable("total", initializer=1.0, trainable=False)
        with tf.control_dependencies([total.assign_add(1.0)]):
            hub.add_signature(outputs=total.read_value() * 10)

    loaded = twin_of(module_fn)
    assert [loaded().numpy() for _ in range(2)] == [20.0, 30.0]
