"""Random modules of all supported kinds come back from disk as they were, and so from disk again."""

import dataclasses
import os
import pathlib
import tempfile

import hypothesis
import numpy as np
import tensorflow as tf
from google.protobuf import wrappers_pb2
from hypothesis import strategies as st
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from hubpipe.hub import format

_DTYPES = (
    tf.float16, tf.bfloat16, tf.float32, tf.float64, tf.int8, tf.int16, tf.int32, tf.int64,
    tf.uint8, tf.uint16, tf.uint32, tf.uint64, tf.bool, tf.string, tf.complex64, tf.complex128,
)  # fmt: skip
_PLAIN, _TRAIN = frozenset(), frozenset({"train"})
_NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True)


@dataclasses.dataclass(frozen=True)
class _Variable:
    dtype: tf.DType
    shape: tuple[int, ...]
    parts: tuple[int, int] | None  # axis and number
    use_resource: bool
    trainable: bool
    in_model_variables: bool


@dataclasses.dataclass(frozen=True)
class _Input:
    kind: str  # dense, sparse or ragged
    dtype: tf.DType
    shape: tuple[int | None, ...] | None
    row_splits_dtype: tf.DType
    use: str  # same: it is an output itself; changed: an output is made of it; unused


@dataclasses.dataclass(frozen=True)
class _Recipe:
    variables: dict[str, _Variable]
    signatures: dict[str, dict[str, _Input]]
    variants: tuple[frozenset[str], ...]
    messages: dict[str, str]
    assets: tuple[tuple[str, str], ...]  # folder and content; each file has the same name
    has_losses: bool
    has_updates: bool


@st.composite
def _variables(draw):
    shape = draw(st.lists(st.integers(0, 4), max_size=3).map(tuple))
    axes = [axis for axis, size in enumerate(shape) if size >= 2]
    parts = None
    if axes and 0 not in shape and draw(st.booleans()):
        axis = draw(st.sampled_from(axes))
        parts = (axis, draw(st.integers(1, shape[axis])))
    return _Variable(draw(st.sampled_from(_DTYPES)), shape, parts, *draw(st.tuples(*[st.booleans()] * 3)))


_inputs = st.builds(
    _Input,
    kind=st.sampled_from(["dense", "dense", "sparse", "ragged"]),
    dtype=st.sampled_from(_DTYPES),
    shape=st.none() | st.lists(st.none() | st.integers(1, 3), min_size=1, max_size=3).map(tuple),
    row_splits_dtype=st.sampled_from([tf.int32, tf.int64]),
    use=st.sampled_from(["same", "changed", "unused"]),
)
_recipes = st.builds(
    _Recipe,
    variables=st.dictionaries(_NAMES, _variables(), max_size=4),
    signatures=st.dictionaries(
        st.just("default") | _NAMES, st.dictionaries(_NAMES, _inputs, max_size=3), min_size=1, max_size=3
    ),
    variants=st.sampled_from([(_PLAIN,), (_PLAIN, _TRAIN), (_TRAIN, _TRAIN | {"large"})]),
    messages=st.dictionaries(_NAMES, st.text(max_size=5), max_size=2),
    assets=st.lists(st.tuples(st.sampled_from("abc"), st.text("xyz", max_size=3)), max_size=3).map(tuple),
    has_losses=st.booleans(),
    has_updates=st.booleans(),
)


def _values(dtype, shape, seed):
    """An array without NaN, of values that its dtype has."""
    numbers = np.random.default_rng(seed).integers(0, 100, shape)
    if dtype == tf.string:
        return np.array([str(number).encode() for number in numbers.flat], object).reshape(shape)
    return numbers.astype(dtype.as_numpy_dtype) if dtype != tf.bool else numbers > 50


def _initializer(values):
    def initial(shape, dtype, partition_info=None):
        if partition_info is None:
            return tf.constant(values, dtype, shape)
        where = tuple(
            slice(start, start + size) for start, size in zip(partition_info.var_offset, shape, strict=True)
        )
        return tf.constant(values[where], dtype, shape)

    return initial


def _get_variable(name, variable):
    partitioner = None
    if variable.parts is not None:
        axis, number = variable.parts
        partitioner = tf1.fixed_size_partitioner(number, axis)
    collections = [tf1.GraphKeys.GLOBAL_VARIABLES]
    if variable.in_model_variables:
        collections.append(tf1.GraphKeys.MODEL_VARIABLES)
    return tf1.get_variable(
        name,
        variable.shape,
        variable.dtype,
        _initializer(_values(variable.dtype, variable.shape, len(name))),
        partitioner=partitioner,
        use_resource=variable.use_resource,
        trainable=variable.trainable,
        collections=collections,
    )


def _placeholder(spec):
    if spec.kind == "sparse":
        return tf1.sparse_placeholder(spec.dtype, spec.shape)
    if spec.kind == "ragged":
        return tf1.ragged.placeholder(spec.dtype, 1, []).with_row_splits_dtype(spec.row_splits_dtype)
    return tf1.placeholder(spec.dtype, spec.shape)


def _changed(value, factor):
    """Another value of the same kind, that depends on the variant where the dtype can be computed with."""
    if isinstance(value, tf.RaggedTensor):
        return value.with_flat_values(_changed(value.flat_values, factor))
    if isinstance(value, tf.SparseTensor):
        return tf.SparseTensor(value.indices, _changed(value.values, factor), value.dense_shape)
    return value * factor if value.dtype in (tf.float32, tf.int64, tf.complex128) else tf.identity(value)


def _module_fn(recipe, directory):
    def module_fn(factor, is_training):
        variables = {name: _get_variable(name, variable) for name, variable in recipe.variables.items()}
        tensors = {f"variable_{name}": tf.convert_to_tensor(variable) for name, variable in variables.items()}
        for index, (folder, _) in enumerate(recipe.assets):
            path = tf.constant(os.path.join(directory, folder, "vocab.txt"))
            tf1.add_to_collection(tf1.GraphKeys.ASSET_FILEPATHS, path)
            tensors[f"asset_{index}"] = tf.io.read_file(path)
        floats = [name for name, variable in recipe.variables.items() if variable.dtype == tf.float32]
        if recipe.has_losses:
            for name in floats:
                loss = tf.nn.l2_loss(tensors[f"variable_{name}"])
                tf1.add_to_collection(tf1.GraphKeys.REGULARIZATION_LOSSES, loss)
        if recipe.has_updates and is_training:
            for name in floats:
                for part in variables[name] if recipe.variables[name].parts else [variables[name]]:
                    tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, part.assign_add(tf.ones_like(part)).op)
        for name, specs in recipe.signatures.items():
            inputs = {key: _placeholder(spec) for key, spec in specs.items()}
            outputs = dict(tensors, default=tf.constant(factor))
            for key, spec in specs.items():
                if spec.use != "unused":
                    outputs[f"of_{key}"] = inputs[key] if spec.use == "same" else _changed(inputs[key], factor)
            hub.add_signature(name, inputs, outputs)
        for key, text in recipe.messages.items():
            hub.attach_message(key, wrappers_pb2.StringValue(value=text))

    return module_fn


def _create_spec(recipe, directory):
    for folder, content in recipe.assets:
        os.makedirs(os.path.join(directory, folder), exist_ok=True)
        with open(os.path.join(directory, folder, "vocab.txt"), "w") as file:
            file.write(content)
    tags_and_args = [
        (tags, {"factor": index + 2, "is_training": "train" in tags}) for index, tags in enumerate(recipe.variants)
    ]
    return hub.create_module_spec(_module_fn(recipe, directory), tags_and_args)


def _input(info):
    """The same value for the same info."""
    shape = info.get_shape()
    sizes = [2] if shape.rank is None else [2 if size is None else size for size in shape]
    if info.is_sparse:
        indices = np.zeros([1, len(sizes)], np.int64)
        return tf.SparseTensor(indices, tf.constant(_values(info.dtype, [1], 7), info.dtype), sizes)
    if isinstance(info.type_spec, tf.RaggedTensorSpec):
        values = tf.constant(_values(info.dtype, [3], 8), info.dtype)
        return tf.RaggedTensor.from_row_splits(values, tf.constant([0, 2, 3], info.type_spec.row_splits_dtype))
    return tf.constant(_values(info.dtype, sizes, 9), info.dtype)


def _description(spec):
    """What a ModuleSpec says of itself."""
    return {
        tags: {
            name: (repr(spec.get_input_info_dict(name, tags)), repr(spec.get_output_info_dict(name, tags)))
            for name in spec.get_signature_names(tags)
        }
        for tags in spec.get_tags()
    }


def _behaviour(spec, tags, export_to=None):
    """What a module does: variables, outputs, losses, updates, tables and assets, as comparable values."""
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(spec, trainable=True, tags=tags)
        outputs = {
            name: module(
                {key: _input(info) for key, info in module.get_input_info_dict(name).items()},
                signature=name,
                as_dict=True,
            )
            for name in module.get_signature_names()
        }
        losses = tf1.get_collection(tf1.GraphKeys.REGULARIZATION_LOSSES)
        session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])
        before = session.run(module.variable_map)
        results = {
            (name, key): session.run(tf.nest.flatten(value, expand_composites=True))
            for name, values in outputs.items()
            for key, value in values.items()
        }
        if export_to is not None:
            module.export(str(export_to), session)
        losses = session.run(losses)
        session.run(tf1.get_collection(tf1.GraphKeys.UPDATE_OPS))
        after = session.run(module.variable_map)
        kinds = {
            key: [(member.op.name, member.op.type, member.dtype, str(member.shape)) for member in members]
            for key, members in ((key, tf1.get_collection(key)) for key in format.VARIABLE_COLLECTIONS)
        }
    return _comparable({"before": before, "results": results, "losses": losses, "after": after, "kinds": kinds})


def _comparable(value):
    if isinstance(value, dict):
        return {key: _comparable(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_comparable(inner) for inner in value]
    if isinstance(value, np.ndarray):
        return (value.dtype.name, value.shape, value.tolist() if value.dtype == object else value.tobytes())
    return value


def _files(directory):
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


@hypothesis.given(recipe=_recipes)
@hypothesis.settings(max_examples=25)
def test_round_trip(recipe):
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        created = _create_spec(recipe, str(directory / "sources"))
        first, *others = created.get_tags()
        expected = {first: _behaviour(created, first, directory / "once")}
        expected.update({tags: _behaviour(created, tags) for tags in others})
        for source, target in (("once", "twice"), ("twice", "thrice")):
            loaded = hub.load_module_spec(str(directory / source))
            assert _description(loaded) == _description(created)
            assert _behaviour(loaded, first, directory / target) == expected[first]
            assert {tags: _behaviour(loaded, tags) for tags in others} == {tags: expected[tags] for tags in others}
            assert _files(directory / target) == _files(directory / source)
            for key, text in recipe.messages.items():
                for tags in loaded.get_tags():
                    assert loaded.get_attached_message(key, wrappers_pb2.StringValue, tags).value == text


@hypothesis.given(recipe=_recipes)
@hypothesis.settings(max_examples=10)
def test_export_from_the_checkpoint_of_a_module(recipe):
    """ModuleSpec.export from the module's own values gives the module, as Module.export does from a session."""
    hypothesis.assume(recipe.variables)
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        created = _create_spec(recipe, str(directory / "sources"))
        tags = created.get_tags()[0]
        expected = _behaviour(created, tags, directory / "once")
        checkpoint_path = str(directory / "once" / "variables" / "variables")
        created.export(str(directory / "twice"), checkpoint_path=checkpoint_path)
        loaded = hub.load_module_spec(str(directory / "twice"))
        assert _behaviour(loaded, tags) == expected


def test_parts_of_every_type(tmp_path):
    """RestoreV2 reads parts of some types only."""
    variables = {
        f"v{index}": _Variable(dtype, (3, 2), (index % 2, 2), index % 3 > 0, False, False)
        for index, dtype in enumerate(_DTYPES)
    }
    recipe = _Recipe(variables, {"default": {}}, (_PLAIN,), {}, (), False, False)
    created = _create_spec(recipe, str(tmp_path))
    expected = _behaviour(created, _PLAIN, tmp_path / "m")
    assert _behaviour(hub.load_module_spec(str(tmp_path / "m")), _PLAIN) == expected
