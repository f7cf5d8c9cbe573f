"""Tests of hubpipe.gates.hermetic."""

import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, hub
from hubpipe.gates import hermetic
from tests.gates import modules
from tests.saved_model import modules as saved_modules


def _constant(*values):
    """A module_fn whose output is a constant."""

    def module_fn():
        hub.add_signature(outputs=tf.identity(tf.constant(list(values))))

    return module_fn


def _problems(path, module_fn, **arguments):
    return hermetic.check(modules.export(module_fn, path / "m"), **arguments).problems


def test_a_sound_module_and_its_twin_stand_alone(tmp_path):
    vocabulary = saved_modules.vocabulary(tmp_path / "words", "a", "b")

    def module_fn():
        words = tf1.placeholder(tf.string, [None])
        path = tf.constant(str(vocabulary))
        tf1.add_to_collection(tf1.GraphKeys.ASSET_FILEPATHS, path)
        outputs = {"default": saved_modules.lookup(words, vocabulary), "text": tf.io.read_file(path)}
        hub.add_signature(inputs=words, outputs=outputs)

    module_dir, twin_dir = modules.export_with_twin(module_fn, tmp_path / "m")
    answer = hermetic.check(module_dir, twin_dir, oldest_reader="1.15", home=str(tmp_path))
    assert answer.problems == []
    assert answer.numbers["oldest_reader"] == "1.15"
    assert answer.confirmed[0].startswith("nodes: ")
    assert answer.confirmed[1:] == [
        "twin: its functions do not, either",
        "TensorFlow 1.15 and later read it, required is 1.15",
    ]


@pytest.mark.parametrize(
    "path",
    [
        "/home/joe/vocab.txt",
        "/home/joe/vocab",
        "/tmp/x",
        "/Users/joe/My.Models/v1/",
        "/weights/en/vocab.txt",
        "C:\\models\\vocab.txt",
        "D:/models",
        "\\\\server\\share\\vocab",
        "gs://bucket/vocab.txt",
        "hdfs://nodes/vocab",
    ],
)
def test_an_absolute_path_in_a_constant(tmp_path, path):
    (problem,) = _problems(tmp_path, _constant("word", path))
    assert problem == f"graph variant tags=[], node 'Const': a Const holds the path {path!r}"


@pytest.mark.parametrize(
    "text",
    [
        "/",
        "//",
        "</s>",
        "/s",
        "/m/01g317",  # ids of things in labels of images
        "and/or",
        "/home",
        "1/2",
        "/(home|tmp)/[a-z]+",
        "a sentence about /home/joe/vocab.txt, say",
        "http://example.com/home/joe.html",
        "c:",
        "\\w+",
        "SAVEDMODEL-ASSET",
    ],
)
def test_text_is_no_path(tmp_path, text):
    assert _problems(tmp_path, _constant("word", text)) == []


def test_contents_of_tables_patterns_and_separators_are_text(tmp_path):
    def module_fn():
        words = tf1.placeholder(tf.string, [None])
        keys = tf.constant(["/usr/bin/python", "/home/joe/vocab.txt"])
        initializer = tf.lookup.KeyValueTensorInitializer(keys, tf.constant([1, 2], tf.int64))
        table = tf.lookup.StaticHashTable(initializer, -1)
        replaced = tf.raw_ops.RegexReplace(input=words, pattern="/tmp/x.y", rewrite="/tmp/z")
        hub.add_signature(inputs=words, outputs={"default": table.lookup(replaced)})

    assert _problems(tmp_path, module_fn) == []


def test_a_constant_that_is_text_and_something_else(tmp_path):
    def module_fn():
        words = tf1.placeholder(tf.string, [None])
        path = tf.constant("/home/joe/x.txt")
        replaced = tf.raw_ops.RegexReplace(input=words, pattern=path, rewrite="")
        hub.add_signature(inputs=words, outputs={"default": replaced, "path": tf.identity(path)})

    (problem,) = _problems(tmp_path, module_fn)
    assert "a Const holds the path '/home/joe/x.txt'" in problem


def test_a_path_in_the_name_of_a_table(tmp_path):
    module_dir = modules.export(modules.plain, tmp_path / "m")

    def change(meta_graph):
        for node in meta_graph.graph_def.node:
            if node.op == "VarHandleOp":
                node.attr["shared_name"].s = b"hash_table_/home/joe/vocab.txt_-2_-1"

    modules.rewrite(module_dir, change)
    (problem,) = hermetic.check(module_dir).problems
    assert problem == (
        "graph variant tags=[], node 'kernel': a VarHandleOp holds the path '/home/joe/vocab.txt_-2_-1'"
    )


def test_the_folder_of_the_exporter(tmp_path):
    module_fn = _constant("made in /export7/joe by joe", "/export7/joey")
    (problem,) = _problems(tmp_path, module_fn, home="/export7/joe")
    assert problem.endswith("a Const holds the exporter's folder, '/export7/joe'")
    assert _problems(tmp_path / "other", module_fn) == []


def test_a_function_of_python(tmp_path):
    def module_fn():
        x = tf1.placeholder(tf.float32, [None])
        hub.add_signature(inputs=x, outputs=tf1.py_func(lambda value: value, [x], tf.float32, name="mine"))

    (problem,) = _problems(tmp_path, module_fn)
    assert problem.startswith("graph variant tags=[], node 'mine' (PyFunc): calls a Python function")


def test_a_function_of_python_in_a_function(tmp_path):
    @tf.function
    def body(x):
        return tf.numpy_function(lambda value: value, [x], tf.float32)

    def module_fn():
        x = tf1.placeholder(tf.float32, [None])
        hub.add_signature(inputs=x, outputs=body(x))

    (problem,) = _problems(tmp_path, module_fn)
    assert problem.startswith("graph variant tags=[], function ")
    assert "calls a Python function" in problem


@pytest.mark.parametrize("device", ["/device:GPU:0", "/job:ps/device:CPU:0", "/device:CPU:1"])
def test_a_pinned_device(tmp_path, device):
    module_dir = modules.export(modules.plain, tmp_path / "m")
    modules.rewrite(module_dir, lambda meta_graph: _pin(meta_graph, device))
    assert hermetic.check(module_dir).problems == [
        f"graph variant tags=[], node 'MatMul': pinned to '{device}', which a consumer may not have"
    ]


@pytest.mark.parametrize("device", ["/cpu:0", "/device:CPU:0", "/device:CPU:*"])
def test_a_device_that_every_machine_has(tmp_path, device):
    module_dir = modules.export(modules.plain, tmp_path / "m")
    modules.rewrite(module_dir, lambda meta_graph: _pin(meta_graph, device))
    assert hermetic.check(module_dir).passed


def _pin(meta_graph, device):
    for node in meta_graph.graph_def.node:
        node.device = device if node.op == "MatMul" else ""


def test_an_op_that_nobody_knows(tmp_path):
    module_dir = modules.export(modules.plain, tmp_path / "m")

    def change(meta_graph):
        next(node for node in meta_graph.graph_def.node if node.op == "MatMul").op = "MatMulOfMine"

    modules.rewrite(module_dir, change)
    answer = hermetic.check(module_dir, oldest_reader="1.15")
    assert "has ops that this TensorFlow does not know: MatMulOfMine" in answer.problems[0]
    assert answer.problems[1].startswith(
        "TensorFlow 1.15 cannot read it: graph variant tags=[], node 'MatMul': MatMulOfMine is in no TensorFlow"
    )


def test_a_file_that_is_no_asset(tmp_path):
    vocabulary = saved_modules.vocabulary(tmp_path / "words", "a")

    def module_fn():
        hub.add_signature(outputs=tf.io.read_file(tf.identity(tf.constant("words.txt", name="where"))))
        names = tf1.placeholder(tf.string, [], name="name")
        hub.add_signature("asked", inputs=names, outputs=tf.io.read_file(names))
        words = tf1.placeholder(tf.string, [None])
        hub.add_signature("ids", inputs=words, outputs=saved_modules.lookup(words, vocabulary))

    assert sorted(_problems(tmp_path, module_fn)) == [
        "graph variant tags=[], node 'ReadFile': ReadFile reads a file named by where, no asset",
        "graph variant tags=[], node 'ReadFile_1': ReadFile reads a file named by name, no asset",
    ]


def test_a_table_that_is_filled_from_no_asset(tmp_path):
    vocabulary = saved_modules.vocabulary(tmp_path / "words", "a")

    def module_fn():
        words = tf1.placeholder(tf.string, [None])
        hub.add_signature(inputs=words, outputs=saved_modules.lookup(words, vocabulary))

    module_dir = modules.export(module_fn, tmp_path / "m")

    def change(meta_graph):
        for node in meta_graph.graph_def.node:
            if node.op == "InitializeTableFromTextFileV2":
                node.input[1] = "elsewhere"
        node = meta_graph.graph_def.node.add(name="elsewhere", op="Const")
        node.attr["dtype"].type = tf.string.as_datatype_enum
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto("vocab.txt"))

    modules.rewrite(module_dir, change)
    (problem,) = hermetic.check(module_dir).problems
    assert problem.endswith("InitializeTableFromTextFileV2 reads a file named by elsewhere, no asset")


def test_a_saver_that_nothing_runs_does_no_harm(tmp_path):
    def module_fn(runs):
        restored = tf.raw_ops.RestoreV2(
            prefix="model.ckpt", tensor_names=["w"], shape_and_slices=[""], dtypes=[tf.float32]
        )
        hub.add_signature(outputs=tf.identity(restored[0]) if runs else tf.constant(1.0))

    problems = _problems(tmp_path, lambda: module_fn(runs=True))
    assert len(problems) == 1 and "RestoreV2 reads a file named by" in problems[0]
    assert _problems(tmp_path / "other", lambda: module_fn(runs=False)) == []


def test_a_file_that_is_written(tmp_path):
    def module_fn():
        x = tf1.placeholder(tf.string, [])
        with tf.control_dependencies([tf.io.write_file("log", x)]):
            hub.add_signature(inputs=x, outputs=tf.identity(x))

    (problem,) = _problems(tmp_path, module_fn)
    assert problem == "graph variant tags=[], node 'WriteFile': WriteFile writes a file"


def test_the_oldest_reader(tmp_path):
    def module_fn():
        x = tf1.placeholder(tf.int32, [None, 3])
        counts = tf.raw_ops.DenseBincount(input=x, size=4, weights=tf.constant([], tf.float32))
        hub.add_signature(inputs=x, outputs=counts)

    module_dir = modules.export(module_fn, tmp_path / "m")
    assert hermetic.check(module_dir).passed
    (problem,) = hermetic.check(module_dir, oldest_reader="1.15").problems
    assert problem.startswith("TensorFlow 1.15 cannot read it: graph variant tags=[], node 'DenseBincount'")


def test_an_unknown_reader(tmp_path):
    with pytest.raises(errors.ExportError) as caught:
        hermetic.check(modules.export(modules.plain, tmp_path / "m"), oldest_reader="1.2")
    assert "Unknown TensorFlow version '1.2'; known are 1.15, " in str(caught.value)


def test_a_path_in_the_twin(tmp_path):
    module_dir, twin_dir = modules.export_with_twin(modules.plain, tmp_path / "m")
    assert hermetic.check(module_dir, twin_dir).passed

    def change(meta_graph):
        meta_graph.graph_def.node[0].attr["_origin"].s = b"/home/joe/train.py"

    modules.rewrite(twin_dir, change)
    (problem,) = hermetic.check(module_dir, twin_dir).problems
    assert problem.startswith("twin, node ")
    assert problem.endswith("holds the path '/home/joe/train.py'")


def test_what_cannot_be_read(tmp_path):
    module_dir = modules.export(modules.plain, tmp_path / "m")
    answer = hermetic.check(module_dir, str(tmp_path / "absent"))
    assert answer.problems == [f"{tmp_path}/absent/saved_model.pb does not exist."]
    (tmp_path / "m" / "saved_model.pb").write_bytes(b"\xff")
    (problem,) = hermetic.check(module_dir).problems
    assert "saved_model.pb: not a serialized" in problem
