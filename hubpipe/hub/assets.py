"""Assets: files that a module's graph reads, and names by their place in the module, never by a path."""

import itertools
import os
from collections.abc import Iterable, Iterator

import tensorflow as tf
from google.protobuf import any_pb2
from google.protobuf import message as protobuf
from tensorflow.compat import v1 as tf1
from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from hubpipe import errors
from hubpipe.files import paths
from hubpipe.hub import format
from hubpipe.hub import graph as graph_lib


def hide_paths_in_shared_names(meta_graph: meta_graph_pb2.MetaGraphDef) -> None:
    """Puts file names for the paths of assets in the names under which tables share their contents.

    TensorFlow names a table after the file it is filled from; a module must not tell where that file was.
    """
    file_names = _file_names(path for _, path in _asset_nodes(meta_graph))
    for node in meta_graph.graph_def.node:
        if "shared_name" in node.attr:
            for path in sorted(file_names, key=len, reverse=True):  # a path may be the beginning of another
                shared_name = node.attr["shared_name"].s.replace(os.fsencode(path), os.fsencode(file_names[path]))
                node.attr["shared_name"].s = shared_name


def detach(
    meta_graphs: list[meta_graph_pb2.MetaGraphDef],
) -> tuple[list[meta_graph_pb2.MetaGraphDef], dict[str, str]]:
    """Copies of meta graphs that name assets by file name, and the files to copy.

    Returns:
        The copies; dict path of an asset -> its file name in the module's assets directory. A file that several
        nodes or variants name is listed once; files of the same name in different folders are told apart by a
        number at the end.
    Raises:
        ModuleSpecError: an entry of ASSET_FILEPATHS is not a constant of one string.
    """
    file_names = _file_names(path for meta_graph in meta_graphs for _, path in _asset_nodes(meta_graph))
    detached = []
    for original in meta_graphs:
        meta_graph = meta_graph_pb2.MetaGraphDef()
        meta_graph.CopyFrom(original)
        for node, path in _asset_nodes(meta_graph):
            _set_path(node, format.ASSET_PLACEHOLDER)
            asset = meta_graph_pb2.AssetFileDef(filename=file_names[path])
            asset.tensor_info.name = graph_lib.tensor_name(node.name)
            meta_graph.collection_def[format.ASSETS_COLLECTION].any_list.value.add().Pack(asset)
        detached.append(meta_graph)
    return detached, file_names


def attach(meta_graph: meta_graph_pb2.MetaGraphDef, assets_dir: str) -> None:
    """Puts the paths of a module's asset files into the constants of its graph; the inverse of detach.

    Raises:
        FormatError: a file that is missing, or whose name or links lead out of the module; a node that is no
            constant of one string; a node of ASSET_FILEPATHS that no file is for.
    """
    entries = _collection(meta_graph, format.ASSETS_COLLECTION).any_list.value
    nodes = {node.name: node for node in meta_graph.graph_def.node} if entries else {}
    # A path that the graph brings along could be any on this machine, and be copied into the next module.
    tensors = _collection(meta_graph, tf1.GraphKeys.ASSET_FILEPATHS).node_list.value
    left = dict.fromkeys(map(graph_lib.node_name, tensors))
    for packed in entries:
        asset = _unpacked(packed, assets_dir)
        name = graph_lib.node_name(asset.tensor_info.name)
        if name not in nodes or not is_path(nodes[name]):
            raise errors.FormatError(
                f"{assets_dir}: asset {asset.filename!r} is for {name!r}, no constant of one string."
            )
        _set_path(nodes[name], _existing(assets_dir, asset.filename).encode())
        left.pop(name, None)
    if left:
        raise errors.FormatError(f"{assets_dir}: the graph names no file for the assets {list(left)!r}.")
    meta_graph.collection_def.pop(format.ASSETS_COLLECTION, None)


def _unpacked(packed: any_pb2.Any, assets_dir: str) -> meta_graph_pb2.AssetFileDef:
    asset = meta_graph_pb2.AssetFileDef()
    try:
        if packed.Unpack(asset):
            return asset
    except protobuf.DecodeError:
        pass
    raise errors.FormatError(f"{assets_dir}: an entry of {format.ASSETS_COLLECTION!r} is no AssetFileDef.")


def _collection(meta_graph: meta_graph_pb2.MetaGraphDef, name: str) -> meta_graph_pb2.CollectionDef:
    """A collection, an empty one if there is none."""
    known = meta_graph.collection_def
    return known[name] if name in known else meta_graph_pb2.CollectionDef()


def _existing(assets_dir: str, name: str) -> str:
    """Path of an asset that is in a module."""
    path = paths.inside(assets_dir, name)
    if not tf.io.gfile.exists(path) or tf.io.gfile.isdir(path):
        raise errors.FormatError(f"{path}: the asset is missing.")
    local = paths.local(path)
    if local is not None:
        real, module_dir = os.path.realpath(local), os.path.realpath(os.path.dirname(paths.local(assets_dir)))
        if os.path.commonpath([real, module_dir]) != module_dir:
            raise errors.FormatError(f"{path}: a link leads out of the module, to {real}.")
    return path


def _asset_nodes(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[tuple[node_def_pb2.NodeDef, str]]:
    """Pairs (constant node, path) of ASSET_FILEPATHS, each node once."""
    if tf1.GraphKeys.ASSET_FILEPATHS not in meta_graph.collection_def:
        return
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    tensors = meta_graph.collection_def[tf1.GraphKeys.ASSET_FILEPATHS].node_list.value
    for name in dict.fromkeys(graph_lib.node_name(tensor) for tensor in tensors):
        if not is_path(nodes[name]):
            raise errors.ModuleSpecError(
                f"Asset {name!r} is a {nodes[name].op}; the path of an asset must be a constant of one string."
            )
        (path,) = nodes[name].attr["value"].tensor.string_val
        yield nodes[name], os.fsdecode(path)


def is_path(node: node_def_pb2.NodeDef) -> bool:
    """True for a node that can hold the path of an asset: a constant of one string."""
    return node.op == "Const" and len(node.attr["value"].tensor.string_val) == 1


def _set_path(node: node_def_pb2.NodeDef, path: bytes) -> None:
    node.attr["value"].tensor.string_val[:] = [path]


def _file_names(files: Iterable[str]) -> dict[str, str]:
    """dict path -> a file name of its own: the path's, with a number at the end if another file has that one."""
    file_names: dict[str, str] = {}
    for path in dict.fromkeys(files):
        name = candidate = os.path.basename(path)
        numbers = itertools.count()
        while candidate in file_names.values():
            candidate = f"{name}{next(numbers)}"
        file_names[path] = candidate
    return file_names
