"""Tests of hubpipe.hub.write."""

import os
import re

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1
from tensorflow.core.protobuf import saved_model_pb2

from hubpipe import errors, hub
from tests.hub import layers


def _two_variants():
    def module_fn(is_training=False):
        x = tf1.placeholder(tf.float32, [None, 3], name="x")
        with tf.device("/device:CPU:0"):
            output = layers.batch_norm(layers.dense(x, 2, "dense", l2=0.1), "norm", is_training=is_training)
        hub.add_signature(inputs=x, outputs=output)
        hub.add_signature("more", inputs={"x": x}, outputs={"z": output, "y": x})
        hub.attach_message("config", tf1.ConfigProto(inter_op_parallelism_threads=3))

    return hub.create_module_spec(module_fn, [({"train", "a", "b"}, {"is_training": True}), (set(), {})])


def _tree(path):
    """dict relative path -> bytes of the files below a directory; None for a directory."""
    entries = path.rglob("*")
    return {str(entry.relative_to(path)): entry.read_bytes() if entry.is_file() else None for entry in entries}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    prefix = str(tmp_path_factory.mktemp("run") / "model.ckpt-5")
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(_two_variants())
        session.run(tf1.global_variables_initializer())
        tf1.train.Saver(module.variable_map).save(session, prefix)
    return prefix


def test_what_is_written(tmp_path, checkpoint):
    _two_variants().export(str(tmp_path / "m"), checkpoint_path=checkpoint)
    tree = _tree(tmp_path / "m")
    assert sorted(tree) == [
        *("assets", "saved_model.pb", "tfhub_module.pb", "variables"),
        *("variables/variables.data-00000-of-00001", "variables/variables.index"),
    ]
    assert tree["tfhub_module.pb"] == b"\x08\x03"


def test_a_module_without_variables_has_all_directories(tmp_path):
    layers.export(hub.create_module_spec(lambda: hub.add_signature(outputs=tf.constant(1))), tmp_path / "m")
    assert sorted(_tree(tmp_path / "m")) == ["assets", "saved_model.pb", "tfhub_module.pb", "variables"]
    with tf.Graph().as_default():
        assert layers.run(hub.Module(str(tmp_path / "m"))()) == 1


def test_the_graph_is_portable(tmp_path, checkpoint):
    _two_variants().export(str(tmp_path / "m"), checkpoint_path=checkpoint)
    saved_model = saved_model_pb2.SavedModel.FromString((tmp_path / "m" / "saved_model.pb").read_bytes())
    assert [list(graph.meta_info_def.tags) for graph in saved_model.meta_graphs] == [[], ["a", "b", "train"]]
    for meta_graph in saved_model.meta_graphs:
        assert {node.device for node in meta_graph.graph_def.node} == {""}
        attributes = {(node.op, name) for node in meta_graph.graph_def.node for name in node.attr}
        assert not attributes & {("MatMul", "transpose_a"), ("MatMul", "grad_a"), ("VarHandleOp", "debug_name")}
        assert ("MatMul", "T") in attributes
    assert os.fsencode(tmp_path) not in (tmp_path / "m" / "saved_model.pb").read_bytes()


def test_the_same_checkpoint_gives_the_same_bytes(tmp_path, checkpoint):
    _two_variants().export(str(tmp_path / "first"), checkpoint_path=checkpoint)
    _two_variants().export(str(tmp_path / "second"), checkpoint_path=checkpoint)
    hub.load_module_spec(str(tmp_path / "first")).export(str(tmp_path / "third"), checkpoint_path=checkpoint)
    first = _tree(tmp_path / "first")
    assert first == _tree(tmp_path / "second") == _tree(tmp_path / "third")


def test_sessions_give_the_same_bytes(tmp_path):
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(_two_variants())
        session.run(tf1.global_variables_initializer())
        module.export(str(tmp_path / "first"), session)
        module.export(str(tmp_path / "second"), session)
    assert _tree(tmp_path / "first") == _tree(tmp_path / "second")


def test_an_export_that_fails_leaves_nothing(tmp_path, checkpoint):
    def fail(prefix):
        with open(prefix + ".index", "wb") as file:
            file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _two_variants().write(str(tmp_path / "m"), fail)
    assert os.listdir(tmp_path) == []
    _two_variants().export(str(tmp_path / "m"), checkpoint_path=checkpoint)
    assert os.listdir(tmp_path) == ["m"]


def test_a_missing_asset_leaves_nothing(tmp_path):
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("a\n")

    def module_fn():
        tf1.add_to_collection(tf1.GraphKeys.ASSET_FILEPATHS, tf.constant(str(vocabulary)))
        hub.add_signature(outputs=tf.constant(1))

    spec = hub.create_module_spec(module_fn)
    vocabulary.unlink()
    with pytest.raises(tf.errors.NotFoundError, match="vocab.txt"):
        layers.export(spec, tmp_path / "m")
    assert os.listdir(tmp_path) == []


def test_a_directory_that_is_not_empty(tmp_path, checkpoint):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "mine.txt").write_text("mine")

    def unreachable(prefix):
        raise AssertionError(prefix)

    with pytest.raises(FileExistsError, match=re.escape(f"{tmp_path}/m: exists and is not an empty directory")):
        _two_variants().write(str(tmp_path / "m"), unreachable)
    assert _tree(tmp_path / "m") == {"mine.txt": b"mine"}
    _two_variants().export(str(tmp_path / "n"), checkpoint_path=checkpoint)
    with pytest.raises(errors.ExportExistsError):
        _two_variants().export(str(tmp_path / "n"), checkpoint_path=checkpoint)


def test_an_empty_directory_and_missing_parents(tmp_path, checkpoint):
    (tmp_path / "m").mkdir()
    _two_variants().export(str(tmp_path / "m"), checkpoint_path=checkpoint)
    _two_variants().export(str(tmp_path / "new" / "n"), checkpoint_path=checkpoint)
    assert _tree(tmp_path / "m") == _tree(tmp_path / "new" / "n")


def test_file_urls(tmp_path, checkpoint):
    _two_variants().export(f"file://{tmp_path}/m", checkpoint_path=f"file://{checkpoint}")
    with tf.Graph().as_default():
        assert hub.Module(f"file://{tmp_path}/m").get_signature_names() == ["default", "more"]


def test_another_file_system(tmp_path, checkpoint):
    path = f"ram://{tmp_path}/m"
    _two_variants().export(path, checkpoint_path=checkpoint)
    _two_variants().export(str(tmp_path / "local"), checkpoint_path=checkpoint)
    x = np.ones([1, 3])
    with tf.Graph().as_default():
        remote, local = layers.run([hub.Module(path)(x), hub.Module(str(tmp_path / "local"))(x)])
    np.testing.assert_array_equal(remote, local)
    with pytest.raises(FileExistsError, match=re.escape(f"{path}: the directory to export to is not empty")):
        _two_variants().export(path, checkpoint_path=checkpoint)


def test_an_export_that_fails_on_another_file_system_is_no_module(tmp_path):
    def fail(prefix):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        _two_variants().write(f"ram://{tmp_path}/m", fail)
    with pytest.raises(errors.NotAModuleError, match="has no tfhub_module.pb"):
        hub.load_module_spec(f"ram://{tmp_path}/m")


def test_tensorflow_2_loads_a_module(tmp_path, checkpoint):
    _two_variants().export(str(tmp_path / "m"), checkpoint_path=checkpoint)
    x = np.ones([2, 3], np.float32)
    with tf.Graph().as_default():
        expected = layers.run(hub.Module(str(tmp_path / "m"))(x))
    loaded = tf.saved_model.load(str(tmp_path / "m"), tags=[])
    np.testing.assert_allclose(loaded.signatures["default"](tf.constant(x))["default"], expected, rtol=1e-6)
