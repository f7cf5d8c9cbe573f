"""Meta graphs and the values of variables to a module directory."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from hubpipe import errors
from hubpipe.files import atomic, paths
from hubpipe.hub import assets, canonical, format
from hubpipe.hub import graph as graph_lib
from hubpipe.hub import variant as variant_lib


def write_module(
    meta_graphs: Sequence[meta_graph_pb2.MetaGraphDef], path: str, write_variables: Callable[[str], None]
) -> None:
    """Writes a module directory. The same meta graphs and variables give the same bytes.

    On the local file system the directory appears whole, by a rename. Elsewhere tfhub_module.pb is written last,
    and what lacks it is no module.

    Args:
        meta_graphs: one per graph variant.
        path: the directory; it must not exist or be empty.
        write_variables: writes a tensor bundle to the prefix it is given.
    Raises:
        ExportExistsError: the directory is not empty; nothing was written.
    """
    ordered = sorted(map(canonical.canonical, meta_graphs), key=_sorted_tags)
    detached, file_names = assets.detach(ordered)
    saved_model = saved_model_pb2.SavedModel()
    for meta_graph in detached:
        _hide_checkpoints(meta_graph)
        saved_model.meta_graphs.add().CopyFrom(meta_graph)
    with directory(path) as target:
        for folder in (format.ASSETS_DIRECTORY, format.VARIABLES_DIRECTORY):
            tf.io.gfile.makedirs(os.path.join(target, folder))
        write_variables(os.path.join(target, format.VARIABLES_DIRECTORY, format.VARIABLES_PREFIX))
        for source, name in file_names.items():
            tf.io.gfile.copy(source, os.path.join(target, format.ASSETS_DIRECTORY, name))
        _write(os.path.join(target, format.SAVED_MODEL_FILE), saved_model.SerializeToString(deterministic=True))
        module_def = format.ModuleDef(format=format.FORMAT_V3)
        _write(os.path.join(target, format.MODULE_FILE), module_def.SerializeToString())


def _sorted_tags(meta_graph: meta_graph_pb2.MetaGraphDef) -> list[str]:
    return sorted(meta_graph.meta_info_def.tags)


@contextmanager
def directory(path: str) -> Iterator[str]:
    """Where to write to: a staging directory that is renamed to the path, if the file system can."""
    local = paths.local(path)
    if local is not None:
        with atomic.publish_dir(local) as staging:
            yield staging
        return
    if tf.io.gfile.exists(path) and tf.io.gfile.listdir(path):
        raise errors.ExportExistsError(f"{path}: the directory to export to is not empty.")
    tf.io.gfile.makedirs(path)
    yield path


def _write(path: str, data: bytes) -> None:
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(data)


def _hide_checkpoints(meta_graph: meta_graph_pb2.MetaGraphDef) -> None:
    """Blanks the paths of checkpoints that variables were initialized from: the module has its own values."""
    variant = variant_lib.Variant(meta_graph)
    initial_values = [variable.initial_value_name for variable in variant.variables if variable.initial_value_name]
    for name in graph_lib.ancestors(variant.nodes, initial_values, graph_lib.Cut()):
        if variant.nodes[name].op == "RestoreV2":
            prefix = variant.nodes[graph_lib.node_name(variant.nodes[name].input[0])]
            if prefix.op == "Const":
                prefix.attr["value"].tensor.string_val[:] = [b""]
