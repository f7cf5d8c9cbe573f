"""Tests of hubpipe.hub.read, resolver and format."""

import os
import re

import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from hubpipe import errors, hub
from hubpipe.hub import format, read
from tests.hub import layers


@pytest.fixture
def module_dir(tmp_path):
    def module_fn():
        tf1.get_variable("w", [2])
        hub.add_signature(outputs=tf.constant(1))

    layers.export(hub.create_module_spec(module_fn), tmp_path / "m")
    return tmp_path / "m"


def _rewrite(module_dir, change):
    """Applies a function to the SavedModel of a module."""
    path = module_dir / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    change(saved_model)
    path.write_bytes(saved_model.SerializeToString())


def test_a_loaded_spec_knows_where_its_values_are(module_dir):
    spec = hub.load_module_spec(str(module_dir))
    assert spec.checkpoint_path == str(module_dir / "variables" / "variables")
    assert read.is_module(str(module_dir))
    assert not read.is_module(str(module_dir.parent))


def test_a_handle_that_leads_nowhere(tmp_path):
    with pytest.raises(OSError, match=re.escape(f"{tmp_path}/nothing does not exist.")) as caught:
        hub.load_module_spec(str(tmp_path / "nothing"))
    assert isinstance(caught.value, errors.HandleError)


def test_the_home_directory(module_dir, monkeypatch):
    monkeypatch.setenv("HOME", str(module_dir.parent))
    assert hub.load_module_spec("~/m").get_tags() == [frozenset()]


def test_a_directory_without_the_mark(module_dir):
    (module_dir / "tfhub_module.pb").unlink()
    message = re.escape(f"{module_dir}: not a TF1 Hub module, it has no tfhub")
    with pytest.raises(ValueError, match=message) as caught:
        hub.load_module_spec(str(module_dir))
    assert "; it is a SavedModel: one of TensorFlow 2 is loaded with tf.saved_model.load" in str(caught.value)


def test_the_folder_of_versions(tmp_path):
    for name in ("2", "10", "current.json"):
        (tmp_path / name).mkdir()
    with pytest.raises(errors.NotAModuleError, match=f"module.pb; it holds versions, such as {tmp_path}/10"):
        hub.load_module_spec(str(tmp_path))


def test_a_directory_that_cannot_be_listed(tmp_path, monkeypatch):
    def denied(path):
        raise tf.errors.PermissionDeniedError(None, None, f"{path}; Permission denied")

    monkeypatch.setattr(tf.io.gfile, "listdir", denied)
    with pytest.raises(errors.FormatError, match="cannot be read: .*; Permission denied") as caught:
        hub.load_module_spec(str(tmp_path))
    assert not isinstance(caught.value, errors.NotAModuleError)


def test_required_features_are_checked_before_anything_else(tmp_path):
    module_def = format.ModuleDef(format=3, required_features=["time-travel", "anti-gravity"])
    (tmp_path / "tfhub_module.pb").write_bytes(module_def.SerializeToString())
    with pytest.raises(ValueError, match=re.escape("does not know: ['anti-gravity', 'time-travel']")):
        hub.load_module_spec(str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"\x08\x02"])
def test_other_formats(module_dir, content):
    (module_dir / "tfhub_module.pb").write_bytes(content)
    number = content[1] if content else 0
    with pytest.raises(ValueError, match=f"unsupported format {number}, expected 3"):
        hub.load_module_spec(str(module_dir))


def test_the_bytes_of_the_mark():
    assert format.ModuleDef(format=format.FORMAT_V3).SerializeToString() == b"\x08\x03"


@pytest.mark.parametrize("name", ["tfhub_module.pb", "saved_model.pb"])
def test_broken_files(module_dir, name):
    (module_dir / name).write_bytes(b"\xff\xff\xff")
    with pytest.raises(errors.FormatError, match=re.escape(f"{module_dir}/{name}: not a serialized")):
        hub.load_module_spec(str(module_dir))


def test_a_missing_graph(module_dir):
    (module_dir / "saved_model.pb").unlink()
    with pytest.raises(errors.FormatError, match=re.escape(f"{module_dir}/saved_model.pb does not exist")):
        hub.load_module_spec(str(module_dir))


def test_no_variants(module_dir):
    (module_dir / "saved_model.pb").write_bytes(b"")
    with pytest.raises(errors.FormatError, match="saved_model.pb has no graph variants"):
        hub.load_module_spec(str(module_dir))


def test_the_same_variant_twice(module_dir):
    _rewrite(module_dir, lambda saved_model: saved_model.meta_graphs.append(saved_model.meta_graphs[0]))
    with pytest.raises(errors.FormatError, match=re.escape("has graph variant tags=[] twice")):
        hub.load_module_spec(str(module_dir))


def test_unknown_ops(module_dir):
    def change(saved_model):
        saved_model.meta_graphs[0].graph_def.node.add(name="novel", op="FlyToTheMoon")

    _rewrite(module_dir, change)
    spec = hub.load_module_spec(str(module_dir))
    with tf.Graph().as_default(), pytest.raises(tf.errors.NotFoundError, match="does not know: FlyToTheMoon"):
        hub.Module(spec)


def test_missing_nodes(module_dir):
    def change(saved_model):
        graph_def = saved_model.meta_graphs[0].graph_def
        next(node for node in graph_def.node if node.name == "w/Assign").input[1] = "gone"

    _rewrite(module_dir, change)
    with tf.Graph().as_default(), pytest.raises(errors.FormatError, match="'w/Assign' refers to a node 'gone'"):
        hub.Module(str(module_dir))


@pytest.mark.parametrize("file_name", ["../../secret", "/etc/passwd", "../assets_evil/x"])
def test_assets_that_lead_out_of_the_module(tmp_path, file_name):
    (tmp_path / "vocab.txt").write_text("a\n")

    def module_fn():
        tf1.add_to_collection(tf1.GraphKeys.ASSET_FILEPATHS, tf.constant(str(tmp_path / "vocab.txt")))
        hub.add_signature(outputs=tf.constant(1))

    layers.export(hub.create_module_spec(module_fn), tmp_path / "m")

    def change(saved_model):
        (packed,) = saved_model.meta_graphs[0].collection_def["saved_model_assets"].any_list.value
        asset = meta_graph_pb2.AssetFileDef.FromString(packed.value)
        asset.filename = file_name
        packed.Pack(asset)

    _rewrite(tmp_path / "m", change)
    with pytest.raises(errors.FormatError, match=re.escape(repr(file_name))):
        hub.load_module_spec(str(tmp_path / "m"))


def test_a_loaded_module_can_be_moved_before_it_is_loaded(module_dir):
    os.rename(module_dir, module_dir.parent / "elsewhere")
    with tf.Graph().as_default():
        assert layers.run(hub.Module(str(module_dir.parent / "elsewhere"))()) == 1
