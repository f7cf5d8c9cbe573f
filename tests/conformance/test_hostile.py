"""Broken and hostile module directories: an error that names file and cause, never a crash, never a write."""

import os
import random
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1
from tensorflow.core.framework import graph_pb2, node_def_pb2, variable_pb2
from tensorflow.core.protobuf import control_flow_pb2, meta_graph_pb2, saved_model_pb2, tensor_bundle_pb2

from hubpipe import errors, hub
from hubpipe.files import sstable
from hubpipe.hub import format, sound_nodes
from tests.conformance import exercise, fuzzing, mutations, seed_modules
from tests.hub import layers


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """dict name -> directory of a sound module."""
    return seed_modules.write_all(str(tmp_path_factory.mktemp("sound")))


@pytest.fixture
def copy(sound, tmp_path):
    """A function from the name of a module to a copy of it that may be broken."""

    def copied(name):
        return shutil.copytree(sound[name], tmp_path / name)

    return copied


def _use(module_dir, trainable=True):
    """All that a consumer does, but for running it; TensorFlow's placeholders are the inputs."""
    before = _listing(module_dir)
    try:
        spec = hub.load_module_spec(str(module_dir))
        for tags in spec.get_tags():
            with tf.Graph().as_default():
                module = hub.Module(spec, trainable=trainable, tags=tags)
                for signature in module.get_signature_names():
                    module.get_output_info_dict(signature)
                    infos = module.get_input_info_dict(signature)
                    inputs = {key: exercise.placeholder(info) for key, info in infos.items()}
                    module(inputs, signature=signature, as_dict=True)
    finally:
        assert _listing(module_dir) == before


def _listing(directory):
    return sorted(
        (parent, name, os.lstat(os.path.join(parent, name)).st_mtime_ns)
        for parent, _, names in os.walk(directory)
        for name in names
    )


def _change(module_dir, change):
    """Applies a function to the first MetaGraphDef of a module."""
    path = module_dir / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    change(saved_model.meta_graphs[0])
    path.write_bytes(saved_model.SerializeToString())


def _node(meta_graph, name):
    return next(node for node in meta_graph.graph_def.node if node.name == name)


def _refused(module_dir, message):
    """Asserts that the module's use ends in an error that names the directory and the cause."""
    with pytest.raises(errors.HubpipeError) as caught:
        _use(module_dir)
    assert str(module_dir) in str(caught.value)
    assert re.search(message, str(caught.value)), str(caught.value)


@pytest.mark.parametrize("name", seed_modules.NAMES)
def test_the_sound_modules(sound, name):
    _use(sound[name])


# Files.


@pytest.mark.parametrize("file_name", ["tfhub_module.pb", "variables/variables.index"])
def test_truncated_at_any_byte(copy, file_name):
    path = copy("table") / file_name
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(errors.FormatError, match=re.escape(str(path))):
            _use(path.parent if path.parent.name != "variables" else path.parent.parent)


def test_a_graph_truncated_at_any_byte(copy):
    module_dir = copy("table")
    path = module_dir / "saved_model.pb"
    whole = path.read_bytes()
    sizes = [*range(0, len(whole), 7), *range(len(whole) - 20, len(whole))]
    for size in sizes:
        path.write_bytes(whole[:size])
        with pytest.raises(errors.FormatError, match=re.escape(str(module_dir))):
            hub.load_module_spec(str(module_dir))


def test_bits_flipped_in_the_index(copy):
    module_dir = copy("variants")
    path = module_dir / "variables" / "variables.index"
    whole = path.read_bytes()
    rng = random.Random(0)
    for place in range(0, len(whole) - 48, 3):  # the last 48 bytes, which have no checksum, hold padding
        flipped = bytearray(whole)
        flipped[place] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        with tf.Graph().as_default(), pytest.raises(errors.FormatError, match=re.escape(str(path))):
            hub.Module(str(module_dir))


@pytest.mark.parametrize("file_name", ["tfhub_module.pb", "saved_model.pb", "variables/variables.index"])
@pytest.mark.parametrize("kind", ["empty", "garbage", "directory", "pipe", "missing"])
def test_what_is_not_the_file(copy, file_name, kind):
    module_dir = copy("table")
    path = module_dir / file_name
    path.unlink()
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "garbage":
        path.write_bytes(random.Random(1).randbytes(1000))
    elif kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    _refused(module_dir, "")


def test_a_file_too_large_to_be_one(copy):
    module_dir = copy("table")
    os.truncate(module_dir / "saved_model.pb", 3 << 30)  # sparse
    _refused(module_dir, r"saved_model.pb: 3221225472 bytes, accepted are 2147483647")


# Variables on disk.


def _change_entries(module_dir, change):
    """Applies a function to dict name -> BundleEntryProto, and writes the index with the right checksums."""
    path = module_dir / mutations.INDEX_FILE
    items = dict(sstable.decode(path.read_bytes(), str(path)))
    entries = {key: tensor_bundle_pb2.BundleEntryProto.FromString(value) for key, value in items.items() if key}
    change(entries)
    path.write_bytes(
        sstable.encode({b"": items[b""], **{key: entry.SerializeToString() for key, entry in entries.items()}})
    )


def _beyond_the_end(entries):
    entries[b"embeddings"].offset = 1 << 40


def _another_shard(entries):
    entries[b"embeddings"].shard_id = 7


def _enormous(entries):
    for size, dim in zip((1 << 31, 1 << 31), entries[b"embeddings"].shape.dim, strict=True):
        dim.size = size


def _negative(entries):
    entries[b"embeddings"].shape.dim[0].size = -5


def _of_unknown_type(entries):
    entries[b"embeddings"].dtype = 77


def _a_slice_of_nothing(entries):
    entries[b"embeddings"].slices.add().extent.add(start=0, length=3)


def _absent(entries):
    entries[b"other"] = entries.pop(b"embeddings")


def _of_another_shape(entries):
    entries[b"embeddings"].shape.dim[0].size, entries[b"embeddings"].shape.dim[1].size = 4, 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_beyond_the_end, r"tensor 'embeddings': bytes 1099511627776 to \d+ of .*, which has 80"),
        (_another_shard, "tensor 'embeddings': shard 7, expected 0 to 0"),
        (_enormous, r"tensor 'embeddings': 80 bytes, float32 .* has 18446744073709551616"),
        (_negative, r"tensor 'embeddings': shape \[-5, 4\]"),
        (_of_unknown_type, "tensor 'embeddings': dtype 77"),
        (_a_slice_of_nothing, "tensor 'embeddings': slice has 1 axes"),
        (_absent, "embeddings is not found"),
        (_of_another_shape, r"Shape of variable embeddings \(\(5, 4\)\) doesn't match"),
    ],
)
def test_an_index_that_lies(copy, change, message):
    module_dir = copy("table")
    _change_entries(module_dir, change)
    _refused(module_dir, message)


def test_a_missing_shard(copy):
    module_dir = copy("table")
    (shard,) = (module_dir / "variables").glob("*.data-*")
    shard.unlink()
    _refused(module_dir, f"its file {re.escape(str(shard))} does not exist")


def test_a_truncated_shard(copy):
    module_dir = copy("table")
    (shard,) = (module_dir / "variables").glob("*.data-*")
    os.truncate(shard, 79)
    _refused(module_dir, "bytes 0 to 80 of .*, which has 79")


def test_values_that_were_changed_are_found_when_they_are_read(copy):
    module_dir = copy("table")
    (shard,) = (module_dir / "variables").glob("*.data-*")
    values = bytearray(shard.read_bytes())
    values[40] ^= 1
    shard.write_bytes(values)
    with tf.Graph().as_default(), tf1.Session() as session:
        hub.Module(str(module_dir))
        with pytest.raises(tf.errors.DataLossError, match="(?i)checksum"):
            session.run(tf1.global_variables_initializer())


# Graphs.


def _named_twice(meta_graph):
    meta_graph.graph_def.node.add().CopyFrom(_node(meta_graph, "words"))


def _of_missing_nodes(meta_graph):
    _node(meta_graph, "embedding_lookup/Identity").input[0] = "gone:1"


def _in_a_circle(meta_graph):
    first = meta_graph.graph_def.node.add(name="first", op="Identity", input=["second"])
    second = meta_graph.graph_def.node.add(name="second", op="Identity", input=["first"])
    first.attr["T"].type = second.attr["T"].type = 1
    meta_graph.signature_def["default"].outputs["default"].name = "second:0"


def _in_a_circle_of_control(meta_graph):
    _node(meta_graph, "embeddings").input.append("^embedding_lookup/Identity")


def _of_functions_in_a_circle(meta_graph):
    for name, other in (("f", "g"), ("g", "f")):
        function = meta_graph.graph_def.library.function.add()
        function.signature.name = name
        function.node_def.add(name="call", op="PartitionedCall").attr["f"].func.name = other


def _too_deep(meta_graph):
    last = "embeddings"
    for index in range(sound_nodes.MAX_PATH_NODES):
        node = meta_graph.graph_def.node.add(name=f"link_{index}", op="Identity", input=[last])
        node.attr["T"].type = 20
        last = node.name


def _that_explodes(meta_graph):
    for index in range(40):
        function = meta_graph.graph_def.library.function.add()
        function.signature.name = f"f{index}"
        for name in ("once", "twice"):
            function.node_def.add(name=name, op="PartitionedCall").attr["f"].func.name = f"f{index + 1}"
    meta_graph.graph_def.node.add(name="call", op="PartitionedCall").attr["f"].func.name = "f0"


def _with_an_enormous_constant(meta_graph):
    node = meta_graph.graph_def.node.add(name="large", op="Const")
    node.attr["dtype"].type = node.attr["value"].tensor.dtype = 1
    node.attr["value"].tensor.tensor_shape.dim.add().size = 1 << 40
    node.attr["value"].tensor.float_val.append(1.0)


def _with_an_enormous_string_constant(meta_graph):
    node = _node(meta_graph, "asset_path")
    node.attr["value"].tensor.tensor_shape.dim.add().size = 1 << 40


def _with_a_constant_of_two_types(meta_graph):
    _with_an_enormous_constant(meta_graph)
    node = meta_graph.graph_def.node[-1]
    node.attr["value"].tensor.tensor_shape.dim[0].size = 1
    node.attr["dtype"].type = 3


def _with_an_attribute_of_another_kind(meta_graph):
    _node(meta_graph, "embedding_lookup/Identity").attr["T"].i = 1


def _with_an_unknown_type(meta_graph):
    _node(meta_graph, "embeddings").attr["dtype"].type = 77


def _with_a_shape_that_is_none(meta_graph):
    _node(meta_graph, "embeddings").attr["shape"].shape.dim[0].size = -7


def _with_types_that_do_not_fit(meta_graph):
    _node(meta_graph, "embedding_lookup/Identity").attr["T"].type = 3


def _output(name):
    def change(meta_graph):
        meta_graph.signature_def["default"].outputs["default"].name = name

    return change


def _input(name):
    def change(meta_graph):
        meta_graph.signature_def["default"].inputs["default"].name = name

    return change


def _input_type(dtype):
    def change(meta_graph):
        meta_graph.signature_def["default"].inputs["default"].dtype = dtype

    return change


def _composite(meta_graph):
    composite = meta_graph.signature_def["default"].outputs["default"].composite_tensor
    composite.type_spec.type_spec_class = 4
    composite.type_spec.type_spec_class_name = "RaggedTensorSpec"
    composite.components.add().CopyFrom(meta_graph.signature_def["default"].inputs["default"])


def _collection(name, kind, value):
    def change(meta_graph):
        meta_graph.collection_def[name].Clear()
        getattr(meta_graph.collection_def[name], kind).value.append(value)

    return change


_VARIABLE = variable_pb2.VariableDef(variable_name="gone:0", initializer_name="gone/Assign", is_resource=True)
_TABLE_AS_VARIABLE = variable_pb2.VariableDef(variable_name="words:0", initializer_name="words", is_resource=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_named_twice, "several nodes are named 'words'"),
        (_of_missing_nodes, "'embedding_lookup/Identity' refers to a node 'gone' that the graph does not have"),
        (_in_a_circle, "need one another in a circle: '(first|second)'"),
        (_in_a_circle_of_control, "need one another in a circle: .*'embeddings'"),
        (_of_functions_in_a_circle, "need one another in a circle: '[fg]'"),
        (_too_deep, r"a path through it has 2000\d nodes, accepted are 20000"),
        (_that_explodes, r"it has \d+ nodes when its functions are expanded, accepted are 1000000"),
        (_with_an_enormous_constant, r"constant 'large' of shape \[1099511627776\] claims 4398046511104 bytes"),
        (_with_an_enormous_string_constant, r"constant 'asset_path' of shape .* claims \d+ bytes"),
        (_with_a_constant_of_two_types, "constant 'large' holds another type than it says"),
        (_with_an_attribute_of_another_kind, "AttrValue had value with type 'int' when 'type' expected"),
        (_with_an_unknown_type, "variable 'embeddings:0' has the unknown type 77"),
        (_with_a_shape_that_is_none, r"variable 'embeddings:0' has the shape \[-7, 4\]"),
        (_with_types_that_do_not_fit, "signature 'default' cannot be applied: .*embedding_lookup/Identity"),
        (_output("gone:0"), "signature 'default': output 'default' names 'gone:0', a tensor that the graph"),
        (_output("words:3"), "output 'default' names 'words:3'"),
        (_output("words:x"), "output 'default' names 'words:x'"),
        (_output("words"), "output 'default' names 'words', a tensor that"),
        (_output("^words"), r"output 'default' names '\^words'"),
        (_output(""), "output 'default' names ''"),
        (_input("gone:0"), "signature 'default': input 'default' names 'gone:0'"),
        (_input("words:1"), "signature 'default': input 'default' names 'words:1'"),
        (_input_type(77), "signature 'default': input 'default' has the unknown type 77"),
        (_input_type(1), "signature 'default' cannot be applied"),
        (_composite, "signature 'default' cannot be read"),
        (_collection("queue_runners", "bytes_list", b"x"), "collection 'queue_runners' is not supported, accept"),
        (_collection("variables", "bytes_list", b"\xff"), "collection 'variables' holds what is not one"),
        (_collection("variables", "int64_list", 3), "collection 'variables' is a int64_list, expected is a bytes"),
        (_collection("variables", "bytes_list", _VARIABLE.SerializeToString()), "variable 'gone:0' is missing"),
        (
            _collection("variables", "bytes_list", _TABLE_AS_VARIABLE.SerializeToString()),
            "variable 'words:0' is a Placeholder",
        ),
        (_collection("table_initializer", "node_list", "gone"), "collection 'table_initializer' names 'gone'"),
        (_collection("asset_filepaths", "node_list", "words:0"), "'words:0', which is no constant"),
        (_collection("saved_model_assets", "bytes_list", b""), "'saved_model_assets' is a bytes_list"),
        (_collection("hub_module_attachments", "bytes_list", b"\x0a\xff"), "'hub_module_attachments' holds what"),
    ],
)
def test_a_graph_that_is_none(copy, change, message):
    module_dir = copy("table")
    _change(module_dir, change)
    _refused(module_dir, message)


def _slices(module_dir, change):
    """Applies a function to the SaveSliceInfoDefs of the partitioned variable."""

    def changed(meta_graph):
        for name in format.VARIABLE_COLLECTIONS:
            if name not in meta_graph.collection_def:
                continue
            values = meta_graph.collection_def[name].bytes_list.value
            definitions = [variable_pb2.VariableDef.FromString(value) for value in values]
            change([definition for definition in definitions if definition.HasField("save_slice_info_def")])
            values[:] = [definition.SerializeToString() for definition in definitions]

    _change(module_dir, changed)


def _with_a_gap(parts):
    parts[1].save_slice_info_def.var_offset[0] += 1


def _with_an_overlap(parts):
    parts[1].save_slice_info_def.var_offset[0] -= 1


def _without_an_end(parts):
    for part in parts:
        part.save_slice_info_def.full_shape[0] = 1 << 40


def _without_an_axis(parts):
    del parts[0].save_slice_info_def.var_offset[:]


def _of_another_size(parts):
    parts[0].save_slice_info_def.var_shape[1] = 9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_with_a_gap, r"has a part at \[3, 0\], expected is the next at \[2, 0\]"),
        (_with_an_overlap, r"has a part at \[1, 0\], expected is the next at \[2, 0\]"),
        (_without_an_end, "has parts up to 3 of 1099511627776 along axis 0"),
        (_without_an_axis, r"of shape \[3, 2\] has no part \[2, 2\] at \[\]"),
        (_of_another_size, r"has a part \[2, 9\] in 'layer/kernel/part_0', whose shape is \[2, 2\]"),
    ],
)
def test_parts_that_are_no_whole(copy, change, message):
    module_dir = copy("variants")
    _slices(module_dir, change)
    _refused(module_dir, f"variable 'layer/kernel' {message}")


def _with_row_splits_of_floats(state):
    state[-1].tensor_dtype_value = tf.float32.as_datatype_enum


def _with_a_negative_size(state):
    state[0].tensor_shape_value.dim[0].size = -2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_with_row_splits_of_floats, "row splits are float32, accepted are int32 and int64"),
        (_with_a_negative_size, "Dimension -2 must be >= 0"),
    ],
)
def test_a_ragged_tensor_that_there_is_not(copy, change, message):
    def changed(meta_graph):
        composite = meta_graph.signature_def["ragged"].inputs["default"].composite_tensor
        change(composite.type_spec.type_state.tuple_value.values)

    module_dir = copy("composites")
    _change(module_dir, changed)
    _refused(module_dir, f"signature 'ragged' cannot be read: {message}")


def test_a_context_of_control_flow_that_names_what_is_missing(copy):
    def change(meta_graph):
        values = meta_graph.collection_def["while_context"].bytes_list.value
        context = control_flow_pb2.WhileContextDef.FromString(values[0])
        context.loop_exit_names.append("gone:0")
        values[0] = context.SerializeToString()

    module_dir = copy("control_flow")
    _change(module_dir, change)
    _refused(module_dir, "collection 'while_context' names 'gone:0'")


def test_two_variants_with_the_same_tags(copy):
    module_dir = copy("variants")
    _change(module_dir, lambda meta_graph: meta_graph.meta_info_def.tags.append("train"))
    _refused(module_dir, r"graph variant tags=\['train'\] twice")


def test_too_many_nodes(copy):
    def change(meta_graph):
        node = graph_pb2.GraphDef(node=[node_def_pb2.NodeDef(name="a", op="NoOp")]).SerializeToString()
        meta_graph.graph_def.MergeFromString(node * sound_nodes.MAX_NODES)

    module_dir = copy("table")
    _change(module_dir, change)
    _refused(module_dir, r"it has 10000\d\d nodes, accepted are 1000000")


def test_many_nodes(copy):
    def change(meta_graph):
        for index in range(100_000):
            meta_graph.graph_def.node.add(name=f"extra_{index}", op="NoOp", input=["^words"])

    module_dir = copy("table")
    _change(module_dir, change)
    _use(module_dir)


def test_nodes_that_a_signature_does_not_need_are_not_imported(copy):
    def change(meta_graph):
        node = meta_graph.graph_def.node.add(name="extra", op="Identity", input=["words"])
        node.attr["T"].type = 77

    module_dir = copy("table")
    _change(module_dir, change)
    _use(module_dir)


def test_a_saved_model_that_is_broken(copy):
    module_dir = copy("table")
    hub.create_module_spec_from_saved_model(str(module_dir))
    _change(module_dir, _in_a_circle)
    with pytest.raises(errors.FormatError, match=f"{re.escape(str(module_dir))}/saved_model.pb: .*in a circle"):
        hub.create_module_spec_from_saved_model(str(module_dir))


# Assets.


def _asset_named(module_dir, name):
    def change(meta_graph):
        (packed,) = meta_graph.collection_def["saved_model_assets"].any_list.value
        asset = meta_graph_pb2.AssetFileDef()
        packed.Unpack(asset)
        asset.filename = name
        packed.Pack(asset)

    _change(module_dir, change)


@pytest.mark.parametrize("name", ["../table/assets/table.txt", "/etc/hostname", "", "a\\b", "a\0b", "."])
def test_names_of_assets_that_lead_out(copy, name):
    module_dir = copy("table")
    _asset_named(module_dir, name)
    _refused(module_dir, f"the name {re.escape(repr(name))}")


def test_an_asset_that_is_a_link_out_of_the_module(copy, tmp_path):
    module_dir = copy("table")
    (tmp_path / "secret").write_text("red\n")
    (module_dir / "assets" / "table.txt").unlink()
    (module_dir / "assets" / "table.txt").symlink_to("../../secret")
    _refused(module_dir, "assets/table.txt: a link leads out of the module, to .*/secret")


def test_assets_behind_a_link_out_of_the_module(copy, tmp_path):
    module_dir = copy("table")
    (module_dir / "assets").rename(tmp_path / "elsewhere")
    (module_dir / "assets").symlink_to(tmp_path / "elsewhere")
    _refused(module_dir, "a link leads out of the module")


def test_a_module_behind_a_link_with_a_link_inside(copy, tmp_path):
    module_dir = copy("table")
    (module_dir / "assets" / "table.txt").rename(module_dir / "real.txt")
    (module_dir / "assets" / "table.txt").symlink_to("../real.txt")
    (tmp_path / "link").symlink_to(module_dir)
    _use(tmp_path / "link")


def test_a_missing_asset(copy):
    module_dir = copy("table")
    (module_dir / "assets" / "table.txt").unlink()
    _refused(module_dir, "assets/table.txt: the asset is missing")


@pytest.mark.parametrize("values", [[], [b"a", b"b"]])
def test_a_path_of_an_asset_that_is_not_one_string(copy, values):
    def change(meta_graph):
        _node(meta_graph, "asset_path").attr["value"].tensor.string_val[:] = values

    module_dir = copy("table")
    _change(module_dir, change)
    message = "collection 'asset_filepaths' names 'asset_path:0', which is no constant of one string"
    _refused(module_dir, message)
    with pytest.raises(errors.FormatError, match=message):
        hub.create_module_spec_from_saved_model(str(module_dir))


def test_a_path_of_an_asset_whose_shape_holds_none(copy):
    def change(meta_graph):
        _node(meta_graph, "asset_path").attr["value"].tensor.tensor_shape.dim.add().size = 0

    module_dir = copy("table")
    _change(module_dir, change)
    hub.create_module_spec_from_saved_model(str(module_dir))
    _refused(module_dir, "its state cannot be imported")


def test_a_path_of_the_graph_itself_is_not_carried_into_the_next_module(copy, tmp_path):
    def change(meta_graph):
        del meta_graph.collection_def["saved_model_assets"]
        node = _node(meta_graph, "asset_path")
        node.attr["value"].tensor.string_val[:] = [str(tmp_path / "secret").encode()]

    (tmp_path / "secret").write_text("red\n")
    module_dir = copy("table")
    _change(module_dir, change)
    _refused(module_dir, "names no file for the assets")


# Exports.


def test_export_of_graphs_that_no_file_can_hold(sound, tmp_path, monkeypatch):
    spec = hub.load_module_spec(sound["variants"])
    monkeypatch.setattr(format, "MAX_FILE_BYTES", 1000)
    with pytest.raises(errors.ModuleSpecError, match=r"have \d{5} bytes, saved_model.pb has at most 1000"):
        spec.export(str(tmp_path / "m"), checkpoint_path=spec.checkpoint_path)
    assert not list(tmp_path.iterdir())


def test_export_from_a_broken_checkpoint(sound, copy, tmp_path):
    broken = copy("table")
    path = broken / "variables" / "variables.index"
    path.write_bytes(path.read_bytes()[:-9])
    spec = hub.load_module_spec(sound["table"])
    with pytest.raises(errors.FormatError, match=re.escape(f"{path}: ends in")):
        spec.export(str(tmp_path / "m"), checkpoint_path=str(path.with_suffix("")))
    assert not (tmp_path / "m").exists()


def test_inputs_of_a_caller_that_do_not_fit_are_not_the_modules_fault(tmp_path):
    def module_fn():
        x = tf1.placeholder(tf.float32)
        hub.add_signature(inputs=x, outputs=tf.matmul(x, tf1.get_variable("w", [3, 2])))

    layers.export(hub.create_module_spec(module_fn), tmp_path / "m")
    with tf.Graph().as_default():
        module = hub.Module(str(tmp_path / "m"))
        with pytest.raises(ValueError, match="Dimensions must be equal") as caught:
            module(np.zeros([2, 7], np.float32))
    assert not isinstance(caught.value, errors.HubpipeError)


# The fuzzer.


@pytest.mark.process
def test_mutations_lead_to_no_crash_hang_or_other_exception(tmp_path):
    numbers = range(1000)
    results = list(fuzzing.run(2024, numbers, str(tmp_path / "problems")))
    problems = [result for result in results if result.is_problem]
    assert not problems, "\n".join(map(str, problems))
    assert [result.number for result in results] == list(numbers), fuzzing.table(results)
