"""Small modules that hold, between them, all that a module can hold: what the fuzzer starts from."""

import contextlib
import os
from collections.abc import Callable, Iterator

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub

_LINE = tf.lookup.TextFileIndex


def write_all(directory: str) -> dict[str, str]:
    """Writes the modules.

    Args:
        directory: an empty directory.
    Returns:
        dict name -> directory of the module.
    """
    written = {}
    with _control_flow_v1():
        for name, make_spec in _SPECS.items():
            vocabulary = os.path.join(directory, f"{name}.txt")
            with open(vocabulary, "w") as file:
                file.write("red\ngreen\nblue\n")
            written[name] = os.path.join(directory, name)
            with tf.Graph().as_default(), tf1.Session() as session:
                spec = make_spec(vocabulary)
                module = hub.Module(spec, trainable=True, tags=max(spec.get_tags(), key=len))
                session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])
                module.export(written[name], session)
    return written


@contextlib.contextmanager
def _control_flow_v1() -> Iterator[None]:
    was_enabled = tf1.control_flow_v2_enabled()
    tf1.disable_control_flow_v2()
    try:
        yield
    finally:
        if was_enabled:
            tf1.enable_control_flow_v2()


def _variants(vocabulary: str) -> hub.ModuleSpec:
    """Two variants, variables partitioned and not, of other types, losses, updates, an attached message."""

    def module_fn(is_training):
        x = tf1.placeholder(tf.float32, [None, 3], name="x")
        with tf1.variable_scope("layer", partitioner=tf1.fixed_size_partitioner(2)):
            kernel = tf1.get_variable("kernel", [3, 2], initializer=tf1.random_uniform_initializer(seed=1))
        mean = tf1.get_variable("mean", [2], initializer=tf1.zeros_initializer(), trainable=False)
        half = tf1.get_variable("half", [2], tf.float16, initializer=tf1.ones_initializer(), trainable=False)
        tf1.get_variable("words", initializer=tf.constant(["a", "bc"]), trainable=False)
        with tf.name_scope("losses"):
            tf1.add_to_collection(tf1.GraphKeys.REGULARIZATION_LOSSES, tf.nn.l2_loss(tf.convert_to_tensor(kernel)))
        y = tf.matmul(x, tf.convert_to_tensor(kernel))
        if is_training:
            update = mean.assign_add(tf.reduce_mean(y, 0) - mean)
            tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, update.op)
        hub.add_signature(inputs={"x": x}, outputs={"default": tf.nn.relu(y) - mean, "half": half.value()})
        hub.attach_message("shape", tf.TensorShape([None, 3]).as_proto())

    tags_and_args = [((), {"is_training": False}), ({"train"}, {"is_training": True})]
    return hub.create_module_spec(module_fn, tags_and_args)


def _table(vocabulary: str) -> hub.ModuleSpec:
    def module_fn():
        words = tf1.placeholder(tf.string, [None], name="words")
        initializer = tf.lookup.TextFileInitializer(
            vocabulary, tf.string, _LINE.WHOLE_LINE, tf.int64, _LINE.LINE_NUMBER
        )
        ids = tf.lookup.StaticVocabularyTable(initializer, num_oov_buckets=2).lookup(words)
        embeddings = tf1.get_variable("embeddings", [5, 4], initializer=tf1.random_uniform_initializer(seed=2))
        hub.add_signature(inputs=words, outputs=tf.nn.embedding_lookup(embeddings, ids))

    return hub.create_module_spec(module_fn)


def _control_flow(vocabulary: str) -> hub.ModuleSpec:
    def module_fn():
        elements = tf1.placeholder(tf.float32, [None], name="elements")
        bound = tf1.placeholder(tf.float32, [], name="bound")
        scale = tf1.get_variable("scale", [], initializer=tf1.constant_initializer(2.0))

        def add(total, x):
            return total + scale * tf.cond(x > bound, lambda: x * 1.0, lambda: tf.constant(0.0))

        total = tf.foldl(add, elements, tf.constant(0.0))
        hub.add_signature(inputs={"elements": elements, "bound": bound}, outputs=total)

    return hub.create_module_spec(module_fn)


def _functions(vocabulary: str) -> hub.ModuleSpec:
    @tf.function
    def scaled(x, by):
        return tf.identity(x) * by

    def module_fn():
        x = tf1.placeholder(tf.float32, [None], name="x")
        factor = tf1.get_variable("factor", [], initializer=tf1.constant_initializer(3.0), use_resource=False)
        hub.add_signature(inputs=x, outputs=scaled(x, factor))
        hub.add_signature("factor", outputs=factor.value())

    return hub.create_module_spec(module_fn)


def _composites(vocabulary: str) -> hub.ModuleSpec:
    """Sparse and ragged inputs and outputs, an input that is an output."""

    def module_fn():
        sparse = tf1.sparse_placeholder(tf.int64, [None, None], name="sparse")
        ragged = tf1.ragged.placeholder(tf.float32, 1, [], name="ragged")
        hub.add_signature("sparse", inputs=sparse, outputs={"default": tf.sparse.to_dense(sparse), "same": sparse})
        sums = tf.reduce_sum(ragged, axis=1)
        hub.add_signature("ragged", inputs=ragged, outputs={"default": sums, "more": ragged + 1.0})

    return hub.create_module_spec(module_fn)


_SPECS: dict[str, Callable[[str], hub.ModuleSpec]] = {
    "variants": _variants,
    "table": _table,
    "control_flow": _control_flow,
    "functions": _functions,
    "composites": _composites,
}
NAMES = tuple(_SPECS)
