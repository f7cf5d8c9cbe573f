"""Does the module stand alone? It must not need the machine, the Python process or the files it was made with.

Looked for in all graphs and their functions: calls back into Python, ops that nobody knows, nodes pinned to
devices, absolute paths, and files that are read or written though they are no assets. Of the twin only the first
two and paths: a SavedModel of TensorFlow 2 brings functions that save and restore, with paths from the caller.

A string is text or a path; nothing says which. Taken for a path is what stands as a word of its own in a constant
or an attribute, begins at a root ("/", "C:\\", "gs://"), and either goes on with a folder that machines have
("/home", "/tmp") or ends in a file name with an extension. Regular expressions, separators and the contents of
tables are text, whatever they look like.

Source: "Exporting a SavedModel" of the TensorFlow Hub documentation, Overview: it can be used independently of the
code that made it.
"""

import collections
import functools
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import tensorflow as tf
from tensorflow.compat import v1 as tf1
from tensorflow.core.framework import graph_pb2, node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from hubpipe import errors
from hubpipe.gates import result
from hubpipe.hub import format, functions, read, readers, reading, sound_nodes
from hubpipe.hub import graph as graph_lib
from hubpipe.hub import signature as signature_lib
from hubpipe.hub import variant as variant_lib

GATE = "hermetic"

# Op -> place of the input that names a file to read. Readers get the names from a queue.
_READERS = {
    "FixedLengthRecordDataset": 0,
    "FixedLengthRecordDatasetV2": 0,
    "GenerateVocabRemapping": 0,
    "InitializeTableFromTextFile": 1,
    "InitializeTableFromTextFileV2": 1,
    "LoadAndRemapMatrix": 0,
    "MatchingFiles": 0,
    "MatchingFilesDataset": 0,
    "ReadFile": 0,
    "ReaderRead": 1,
    "ReaderReadUpTo": 1,
    "ReaderReadUpToV2": 1,
    "ReaderReadV2": 1,
    "Restore": 0,
    "RestoreSlice": 0,
    "RestoreV2": 0,
    "SqlDataset": 1,
    "TFRecordDataset": 0,
    "TFRecordDatasetV2": 0,
    "TextLineDataset": 0,
}
_WRITERS = frozenset(
    {"CreateSummaryFileWriter", "MergeV2Checkpoints", "Save", "SaveSlices", "SaveV2", "WriteFile"}
)
# Inputs that are text: contents of tables, patterns, separators, messages.
_TEXT_INPUTS = {
    "Assert": None,  # all of them
    "InitializeTable": None,
    "InitializeTableV2": None,
    "LookupTableFind": None,
    "LookupTableFindV2": None,
    "LookupTableImport": None,
    "LookupTableImportV2": None,
    "LookupTableInsert": None,
    "LookupTableInsertV2": None,
    "RegexFullMatch": (1,),
    "RegexReplace": (1, 2),
    "StringSplit": (1,),
    "StringSplitV2": (1,),
}
_TEXT_ATTRIBUTES = frozenset({"pattern", "rewrite", "template", "_class"})
_PASSING_ON = ("ExpandDims", "Identity", "Pack", "Reshape", "Squeeze")

_FOLDERS = (
    "Applications Users Volumes app bin boot build builds cache cns content data dbfs dev etc export home lib "
    "lib64 local media mnt net nfs opt private proc project projects root run runs scratch shared srv sys tmp usr "
    "var work workspace"
).replace(" ", "|")
_NAME = r"[^/\\:*?\"<>|\s\[\](){}^$+]+"
_PATH = re.compile(
    rf"(?:/(?:{_FOLDERS})(?:/{_NAME})+/?"  # /home/joe/vocab
    rf"|/(?:{_NAME}/)+{_NAME}\.[A-Za-z0-9]{{1,8}}"  # /anything/vocab.txt
    rf"|[A-Za-z]:[\\/](?:{_NAME}[\\/])*{_NAME}"  # C:\vocab
    rf"|\\\\{_NAME}\\{_NAME}(?:\\{_NAME})*"  # \\server\share
    rf"|(?:file|gs|s3|hdfs|viewfs|ram)://{_NAME}(?:/{_NAME})*/?)"
)
# Inside of other text only what hardly is anything else; names of tables are made of paths.
_INNER_PATH = re.compile(rf"/(?:home|Users|root|tmp|var|mnt)/{_NAME}(?:/{_NAME})*|(?:gs|s3|hdfs)://{_NAME}(?:/{_NAME})*")
_EVERYWHERE = re.compile(r"/?(device:)?cpu:[0*]", re.IGNORECASE)  # the device that every machine has
# Besides signatures, what a consumer runs.
_RUN_COLLECTIONS = (
    tf1.GraphKeys.TABLE_INITIALIZERS,
    tf1.GraphKeys.UPDATE_OPS,
    tf1.GraphKeys.REGULARIZATION_LOSSES,
)
_SHOWN = 3

_Nodes = Mapping[str, node_def_pb2.NodeDef]


def check(
    module_dir: str,
    twin_dir: str | None = None,
    *,
    oldest_reader: str | None = None,
    home: str | None = None,
) -> result.Result:
    """Looks for what a module takes from outside.

    Args:
        module_dir: a TF1 Hub module.
        twin_dir: its twin, None if it has none.
        oldest_reader: a version of readers.versions() that must be able to read the module, e.g. "1.15"; None for
            no requirement.
        home: folder of whoever exported it, which no string may mention; None if that is not known.
    Returns:
        The gate's answer; its numbers are `oldest_reader`, `nodes`, and `oldest_reader_required`.
    Raises:
        ExportError: hubpipe does not know the version `oldest_reader`.
    """
    try:
        with result.blamed(f"{module_dir}: its graphs cannot be read"):
            read.load_module_spec(module_dir)
            variants = _variants(module_dir)
            problems = [problem for variant in variants for problem in _variant_problems(variant, home)]
    except errors.HubpipeError as error:
        return result.Result(GATE, [str(error)])
    nodes = sum(len(list(functions.all_nodes(variant.meta_graph.graph_def))) for variant in variants)
    confirmed = [] if problems else [f"nodes: {nodes}, none takes anything from outside"]
    if twin_dir is not None:
        found = _twin_problems(twin_dir, home)
        problems += found
        confirmed += [] if found else ["twin: its functions do not, either"]
    reader = readers.oldest_reader(variant.meta_graph for variant in variants)
    told = f"TensorFlow {reader} and later read it" if reader else "no TensorFlow that hubpipe knows of reads it"
    numbers = {"nodes": nodes, "oldest_reader": reader, "oldest_reader_required": oldest_reader}
    if oldest_reader is None:
        return result.Result(GATE, problems, [told], numbers, confirmed)
    obstacles = [
        f"{variant.describe()}, {obstacle}"
        for variant in variants
        for obstacle in readers.obstacles(variant.meta_graph, oldest_reader)
    ]
    if obstacles:
        more = f"; and {len(obstacles) - 1} more" if len(obstacles) > 1 else ""
        problems.append(f"TensorFlow {oldest_reader} cannot read it: {obstacles[0]}{more}")
    else:
        confirmed.append(f"{told}, required is {oldest_reader}")
    return result.Result(GATE, problems, [], numbers, confirmed)


def _variants(directory: str) -> list[variant_lib.Variant]:
    """The graph variants as they are in the file: reading a module puts paths into its graph."""
    path = os.path.join(directory, format.SAVED_MODEL_FILE)
    saved_model = saved_model_pb2.SavedModel.FromString(reading.read_bytes(path, format.MAX_FILE_BYTES))
    return [variant_lib.Variant(meta_graph, path) for meta_graph in saved_model.meta_graphs]


def _twin_problems(twin_dir: str, home: str | None) -> list[str]:
    try:
        with result.blamed(f"{twin_dir}: its graph cannot be read"):
            return [
                f"twin, {problem}"
                for variant in _variants(twin_dir)
                for problem in (*_op_problems(variant), *_path_problems(variant, home))
            ]
    except errors.HubpipeError as error:
        return [str(error)]


def _variant_problems(variant: variant_lib.Variant, home: str | None) -> Iterator[str]:
    for problem in (
        *_op_problems(variant),
        *_device_problems(variant),
        *_path_problems(variant, home),
        *_file_problems(variant),
    ):
        yield f"{variant.describe()}, {problem}"


def _op_problems(variant: variant_lib.Variant) -> Iterator[str]:
    nodes = functions.python_nodes(variant.meta_graph.graph_def)
    python = [f"{_place(function, node)} ({node.op})" for function, node in nodes]
    if python:
        yield f"{_some(python)}: calls a Python function of the process that made the module, and of no other"
    try:
        variant.check_ops()
    except tf.errors.NotFoundError as error:
        yield str(error.message)


def _device_problems(variant: variant_lib.Variant) -> Iterator[str]:
    pinned = collections.defaultdict(list)
    for function, node in functions.all_nodes(variant.meta_graph.graph_def):
        if node.device and not _EVERYWHERE.fullmatch(node.device):
            pinned[node.device].append(_place(function, node))
    for device, places in sorted(pinned.items()):
        yield f"{_some(places)}: pinned to {device!r}, which a consumer may not have"


def _path_problems(variant: variant_lib.Variant, home: str | None) -> Iterator[str]:
    assets = _asset_nodes(variant.meta_graph)
    for function, nodes in _bodies(variant.meta_graph.graph_def):
        innocent = _text_constants(nodes) | (set() if function else assets)
        for node in nodes.values():
            found = list(_paths_in_attributes(node, home))
            if node.op == "Const" and node.name not in innocent:
                found += _paths(node.attr["value"].tensor.string_val, home, whole=True)
            if found:
                yield f"{_place(function, node)}: a {node.op} holds {_some(found)}"


def _paths_in_attributes(node: node_def_pb2.NodeDef, home: str | None) -> Iterator[str]:
    for key, value in sorted(node.attr.items()):
        if key not in _TEXT_ATTRIBUTES:
            yield from _paths([value.s, *value.list.s], home, whole=False)


def _paths(strings: Iterable[bytes], home: str | None, *, whole: bool) -> Iterator[str]:
    """What of some strings is a path, in words; `whole` if each must be one from its beginning to its end."""
    for data in strings:
        string = data.decode("utf-8", "replace")
        match = _PATH.fullmatch(string) or (None if whole else _INNER_PATH.search(string))
        if match:
            yield f"the path {match.group()!r}"
        elif home and home.strip("/\\") and re.search(rf"(?<![\w.]){re.escape(home)}(?![\w.-])", string):
            yield f"the exporter's folder, {home!r}"


def _asset_nodes(meta_graph: meta_graph_pb2.MetaGraphDef) -> set[str]:
    """The constants that a reader gives the paths of the module's own files."""
    found = set()
    if format.ASSETS_COLLECTION in meta_graph.collection_def:
        for packed in meta_graph.collection_def[format.ASSETS_COLLECTION].any_list.value:
            asset = meta_graph_pb2.AssetFileDef()
            packed.Unpack(asset)
            found.add(graph_lib.node_name(asset.tensor_info.name))
    return found


def _text_constants(nodes: _Nodes) -> set[str]:
    """The constants that are taken as text and as nothing else."""
    takers = collections.defaultdict(list)
    for node in nodes.values():
        for place, name in enumerate(node.input):
            takers[graph_lib.node_name(name)].append((node, place))

    @functools.cache
    def is_text(name: str) -> bool:
        return bool(takers[name]) and all(
            is_text(taker.name)
            if taker.op in _PASSING_ON
            else taker.op in _TEXT_INPUTS and place in (_TEXT_INPUTS[taker.op] or (place,))
            for taker, place in takers[name]
        )

    return {name for name, node in nodes.items() if node.op == "Const" and is_text(name)}


def _file_problems(variant: variant_lib.Variant) -> Iterator[str]:
    """Files that are read though they are no assets, or written, where a consumer would run it."""
    assets = _asset_nodes(variant.meta_graph)
    running = _running(variant)
    for function, nodes in _bodies(variant.meta_graph.graph_def):
        for node in nodes.values():
            if (function, node.name) not in running:
                continue
            if node.op in _WRITERS:
                yield f"{_place(function, node)}: {node.op} writes a file"
            if node.op in _READERS:
                names = _sources(nodes, node.input[_READERS[node.op]])
                others = sorted(names if function else names - assets)
                if others:
                    yield f"{_place(function, node)}: {node.op} reads a file named by {_some(others)}, no asset"


def _running(variant: variant_lib.Variant) -> set[tuple[str, str]]:
    """Pairs (function or "", node) of what a consumer runs: signatures, update ops, tables, losses."""
    definitions = variant.meta_graph.signature_def.values()
    targets = {
        name
        for signature in definitions
        for info in signature.outputs.values()
        for name in signature_lib.component_names(info)
    }
    for collection in _RUN_COLLECTIONS:
        targets.update(variant.names(collection))
    bodies = dict(_bodies(variant.meta_graph.graph_def))
    todo = [("", name) for name in graph_lib.ancestors(variant.nodes, targets, graph_lib.Cut())]
    found: set[tuple[str, str]] = set()
    while todo:
        entry = todo.pop()
        if entry not in found:
            found.add(entry)
            function, name = entry
            called = sound_nodes.callees(bodies[function][name], bodies)
            todo.extend((callee, inner) for callee in called for inner in bodies[callee])
    return found


def _sources(nodes: _Nodes, name: str) -> set[str]:
    """The nodes, or arguments of a function, that a string comes from."""
    found: set[str] = set()
    seen: set[str] = set()
    todo = [graph_lib.node_name(name)]
    while todo:
        name = todo.pop()
        if name in nodes and nodes[name].op in _PASSING_ON:
            todo.extend({graph_lib.node_name(source) for source in nodes[name].input} - seen)
            seen.add(name)
        else:
            found.add(name)
    return found


def _bodies(graph_def: graph_pb2.GraphDef) -> Iterator[tuple[str, dict[str, node_def_pb2.NodeDef]]]:
    """Pairs (function, its nodes by name) of a graph, whose function is "", and of its functions."""
    yield "", {node.name: node for node in graph_def.node}
    for function in graph_def.library.function:
        yield function.signature.name, {node.name: node for node in function.node_def}


def _place(function: str, node: node_def_pb2.NodeDef) -> str:
    return f"function {function!r}, node {node.name!r}" if function else f"node {node.name!r}"


def _some(things: Sequence[str]) -> str:
    more = f" and {len(things) - _SHOWN} more" if len(things) > _SHOWN else ""
    return ", ".join(things[:_SHOWN]) + more
