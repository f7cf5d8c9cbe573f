"""Tests of hubpipe.hub.assets."""

import os
import re

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1
from tensorflow.core.protobuf import saved_model_pb2

from hubpipe import errors, hub
from tests.hub import layers


def _lookup_fn(*files):
    """A module_fn that looks words up in vocabulary files, one word a line."""

    def module_fn():
        words = tf1.placeholder(tf.string, [None])
        ids = []
        for file in files:
            initializer = tf.lookup.TextFileInitializer(
                file, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
            )
            ids.append(tf.lookup.StaticHashTable(initializer, -1).lookup(words))
        hub.add_signature(inputs=words, outputs=tf.stack(ids))

    return module_fn


def _write(path, *words):
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(words) + "\n")
    return str(path)


def _ids(path, words, **kwargs):
    with tf.Graph().as_default():
        return layers.run(hub.Module(str(path), **kwargs)(words)).tolist()


def test_assets_are_copied_and_the_module_stands_alone(tmp_path):
    vocabulary = _write(tmp_path / "source" / "vocab.txt", "a", "b")
    layers.export(hub.create_module_spec(_lookup_fn(vocabulary)), tmp_path / "first")
    os.remove(vocabulary)
    os.rename(tmp_path / "first", tmp_path / "moved")
    assert (tmp_path / "moved" / "assets" / "vocab.txt").read_text() == "a\nb\n"
    assert _ids(tmp_path / "moved", ["b", "a", "x"]) == [[1, 0, -1]]


def test_the_graph_names_no_path(tmp_path):
    vocabularies = [_write(tmp_path / "source" / name, "a") for name in ("vocab", "vocab.txt")]
    layers.export(hub.create_module_spec(_lookup_fn(*vocabularies)), tmp_path / "m")
    data = (tmp_path / "m" / "saved_model.pb").read_bytes()
    assert os.fsencode(tmp_path) not in data
    (meta_graph,) = saved_model_pb2.SavedModel.FromString(data).meta_graphs
    shared = [node.attr["shared_name"].s for node in meta_graph.graph_def.node if node.op == "HashTableV2"]
    assert [re.sub(rb"_-\d.*", b"", name) for name in shared] == [b"hash_table_vocab", b"hash_table_vocab.txt"]


def test_files_of_the_same_name(tmp_path):
    words = {"x": "a", "y": "b", "z": "c"}
    files = [_write(tmp_path / folder / "hello.txt", word) for folder, word in words.items()]
    layers.export(hub.create_module_spec(_lookup_fn(*files)), tmp_path / "m")
    assert sorted(os.listdir(tmp_path / "m" / "assets")) == ["hello.txt", "hello.txt0", "hello.txt1"]
    assert _ids(tmp_path / "m", ["a", "b", "c"]) == [[0, -1, -1], [-1, 0, -1], [-1, -1, 0]]


def test_a_file_of_several_tables_and_variants_is_copied_once(tmp_path):
    vocabulary = _write(tmp_path / "vocab.txt", "a")
    spec = hub.create_module_spec(_lookup_fn(vocabulary, vocabulary), [(set(), {}), ({"train"}, {})])
    layers.export(spec, tmp_path / "m")
    assert os.listdir(tmp_path / "m" / "assets") == ["vocab.txt"]
    for tags in (None, {"train"}):
        assert _ids(tmp_path / "m", ["a"], tags=tags) == [[0], [0]]


def test_paths_as_bytes_and_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _write(tmp_path / "vocäb.txt", "a")
    layers.export(hub.create_module_spec(_lookup_fn("vocäb.txt".encode(), "./vocäb.txt")), tmp_path / "m")
    assert len(os.listdir(tmp_path / "m" / "assets")) in (1, 2)
    assert _ids(tmp_path / "m", ["a"]) == [[0], [0]]


def test_a_loaded_module_is_exported_with_its_assets(tmp_path):
    layers.export(hub.create_module_spec(_lookup_fn(_write(tmp_path / "vocab.txt", "a", "b"))), tmp_path / "first")
    layers.export(hub.load_module_spec(str(tmp_path / "first")), tmp_path / "second")
    (tmp_path / "first" / "assets" / "vocab.txt").unlink()
    assert _ids(tmp_path / "second", ["b"]) == [[1]]
    first, second = ((tmp_path / name / "saved_model.pb").read_bytes() for name in ("first", "second"))
    assert first == second


def test_assets_of_a_module_in_a_module(tmp_path):
    layers.export(hub.create_module_spec(_lookup_fn(_write(tmp_path / "vocab.txt", "a", "b"))), tmp_path / "inner")

    def module_fn():
        words = tf1.placeholder(tf.string, [None])
        hub.add_signature(inputs=words, outputs=hub.Module(str(tmp_path / "inner"))(words) + 10)

    layers.export(hub.create_module_spec(module_fn), tmp_path / "outer")
    os.rename(tmp_path / "inner", tmp_path / "gone")
    assert _ids(tmp_path / "outer", ["b"]) == [[11]]
    assert os.fsencode(tmp_path) not in (tmp_path / "outer" / "saved_model.pb").read_bytes()


def test_consumers_see_the_files(tmp_path):
    layers.export(hub.create_module_spec(_lookup_fn(_write(tmp_path / "vocab.txt", "a"))), tmp_path / "m")
    with tf.Graph().as_default():
        module = hub.Module(str(tmp_path / "m"))
        paths = tf1.get_collection(tf1.GraphKeys.ASSET_FILEPATHS)
        assert layers.run(paths) == [os.fsencode(tmp_path / "m" / "assets" / "vocab.txt")]
        module(["a"])
        assert set(layers.run(tf1.get_collection(tf1.GraphKeys.ASSET_FILEPATHS))) == set(layers.run(paths))


def test_an_asset_on_another_file_system(tmp_path):
    path = f"ram://{tmp_path}/vocab.txt"
    with tf.io.gfile.GFile(path, "w") as file:
        file.write("a\nb\n")
    layers.export(hub.create_module_spec(_lookup_fn(path)), tmp_path / "m")
    assert _ids(tmp_path / "m", ["b"]) == [[1]]
    hub.load_module_spec(str(tmp_path / "m")).write(f"ram://{tmp_path}/m", lambda prefix: None)
    assert _ids(f"ram://{tmp_path}/m", ["b"]) == [[1]]


@pytest.mark.parametrize(
    ("path", "op"),
    [
        (lambda: tf1.placeholder(tf.string, [], name="path"), "Placeholder"),
        (lambda: tf.constant(["a", "b"], name="path"), "Const"),
    ],
)
def test_an_asset_that_is_no_constant_of_one_string(path, op):
    def module_fn():
        tf1.add_to_collection(tf1.GraphKeys.ASSET_FILEPATHS, path())
        hub.add_signature(outputs=tf.constant(1))

    message = f"Asset 'path' is a {op}; the path of an asset must be a constant of one string"
    with pytest.raises(errors.ModuleSpecError, match=message):
        hub.create_module_spec(module_fn)


def test_an_asset_for_what_is_no_constant(tmp_path):
    layers.export(hub.create_module_spec(_lookup_fn(_write(tmp_path / "vocab.txt", "a"))), tmp_path / "m")
    path = tmp_path / "m" / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    (meta_graph,) = saved_model.meta_graphs
    del meta_graph.collection_def["asset_filepaths"]
    for node in meta_graph.graph_def.node:
        if node.op == "Const" and node.attr["value"].tensor.string_val == [b"SAVEDMODEL-ASSET"]:
            node.op = "Placeholder"
    path.write_bytes(saved_model.SerializeToString())
    with pytest.raises(errors.FormatError, match="asset 'vocab.txt' is for .* no constant of one string"):
        hub.load_module_spec(str(tmp_path / "m"))


def test_values_of_tables_of_two_modules_stay_apart(tmp_path):
    first = hub.create_module_spec(_lookup_fn(_write(tmp_path / "x" / "vocab.txt", "a")))
    second = hub.create_module_spec(_lookup_fn(_write(tmp_path / "y" / "vocab.txt", "b")))
    with tf.Graph().as_default():
        ids = layers.run([hub.Module(first)(["a"]), hub.Module(second)(["a"])])
    np.testing.assert_array_equal(ids, [[[0]], [[-1]]])
