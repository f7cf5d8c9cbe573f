"""Does a module fit the features that train it, and the head?"""

from collections.abc import Iterator, Mapping

import tensorflow as tf

from hubpipe import hub
from hubpipe.config import wording
from hubpipe.hub import functions
from hubpipe.hub import signature as signature_lib

Features = Mapping[str, tf.TensorSpec]


def problems(spec: hub.ModuleSpec, features: Features) -> list[str]:
    """What keeps a module from being trained as an encoder, by its signature `default`, and from being published.

    Args:
        spec: the module; of its signatures, those of the variant without tags are looked at.
        features: dict name -> what input_fn supplies, with the batch left open.
    Returns:
        One message per problem; none if the module fits.
    """
    return [*_python_problems(spec), *_input_problems(spec, features), *_output_problems(spec)]


def describe(shape: tf.TensorShape, dtype: tf.DType) -> str:
    """A tensor in the words of docstrings: "float32 [batch, 3]"."""
    if shape.rank is None:
        return f"{dtype.name} of any shape"
    sizes = ["?" if size is None else str(size) for size in shape]
    if sizes and shape[0] is None:
        sizes[0] = "batch"
    return f"{dtype.name} [{', '.join(sizes)}]"


def _python_problems(spec: hub.ModuleSpec) -> Iterator[str]:
    graphs = [spec.variant(tags).meta_graph.graph_def for tags in spec.get_tags()]
    node = next((node for graph_def in graphs for _, node in functions.python_nodes(graph_def)), None)
    if node is not None:
        yield (
            f"node {node.name!r} ({node.op}) calls a Python function, which no module takes along; write it with "
            "TensorFlow's ops"
        )


def _input_problems(spec: hub.ModuleSpec, features: Features) -> Iterator[str]:
    infos = spec.get_input_info_dict()
    has = ", ".join(f"{name!r}, {describe(value.shape, value.dtype)}" for name, value in features.items())
    for name, info in infos.items():
        if name not in features:
            yield (
                f"signature 'default' takes {name!r}, which the inputs do not supply"
                f"{wording.suggestion(name, features)}. They supply {has}"
            )
            continue
        feature, shape = features[name], info.get_shape()
        if info.is_composite:
            yield f"input {name!r} is {info.type_spec}; the inputs supply dense tensors: {has}"
        elif shape.rank and shape[0] is not None:
            yield (
                f"input {name!r} has a fixed batch of {shape[0]}; batches differ in size, leave the first "
                "dimension open (None)"
            )
        elif info.dtype != feature.dtype or not shape.is_compatible_with(feature.shape):
            yield (
                f"input {name!r} is {describe(shape, info.dtype)}; the inputs supply "
                f"{describe(feature.shape, feature.dtype)}"
            )
    for name in features:
        if name not in infos:
            yield (
                f"signature 'default' lacks an input {name!r}, which the inputs supply"
                f"{wording.suggestion(name, infos)}. It takes {', '.join(map(repr, infos)) or 'none'}"
            )


def _output_problems(spec: hub.ModuleSpec) -> Iterator[str]:
    infos = spec.get_output_info_dict()
    info = infos.get(signature_lib.DEFAULT)
    if info is None:
        found = ", ".join(map(repr, infos))
        yield f"signature 'default' has no output 'default', which the head takes; it has {found}"
        return
    shape = info.get_shape()
    if info.is_composite or info.dtype != tf.float32 or shape.rank != 2 or shape[1] is None:
        found = str(info.type_spec) if info.is_composite else describe(shape, info.dtype)
        yield f"output 'default' is {found}; the head takes float32 [batch, dim] with a known dim"
    elif shape[0] is not None:
        yield f"output 'default' has a fixed batch of {shape[0]}; batches differ in size"
