"""Writes the twin of a module: a Reusable SavedModel of TensorFlow 2.

What does not depend on the values of the variables is worked out once for all modules with the same graphs. The
values themselves are never read: the twin's bundle has an index of its own over the data files of the module's.
"""

import base64
import functools
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import tensorflow as tf
from tensorflow.compat import v1 as tf1
from tensorflow.core.protobuf import trackable_object_graph_pb2

from hubpipe.files import atomic, byte_ranges, paths, records, tensor_bundle
from hubpipe.hub import format, read, reading, write
from hubpipe.hub import variables as variables_lib
from hubpipe.saved_model import isolated, twin

# Beside the SavedModel: what the twin is made of. Loaders ignore it.
FACTS_FILE = os.path.join("assets.extra", "hubpipe", "twin.json")
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


class TwinWriter:
    """Writes twins; those of modules with the same graphs and assets share one template.

    Used by one thread at a time.
    """

    def __init__(self):
        self._templates: dict[str, tempfile.TemporaryDirectory] = {}

    def write(self, module_dir: str, path: str) -> list[str]:
        """Writes the twin of a module.

        A twin inside the module's own directory shares the bytes of its variables by hard links, where the file
        system has them.

        Args:
            module_dir: a TF1 Hub module.
            path: directory of the twin; it must not exist or be empty.
        Returns:
            What of the module the twin lacks, a line each.
        Raises:
            ExportExistsError: the directory is not empty; nothing was written.
            ModuleSpecError: the module holds state that a SavedModel of TensorFlow 2 cannot hold.
            NotAModuleError: module_dir holds no module.
            FormatError: the module is broken.
        """
        read.check_module_file(module_dir)
        template = self._template(module_dir)
        facts = records.read(os.path.join(template, FACTS_FILE))
        with _directory(path) as directory:
            for root, _, names in os.walk(template):
                folder = os.path.relpath(root, template)
                if folder != format.VARIABLES_DIRECTORY:
                    atomic.make_dirs(os.path.join(directory, folder))
                    for name in names:
                        _copy(os.path.join(root, name), os.path.join(directory, folder, name))
            atomic.make_dirs(os.path.join(directory, format.VARIABLES_DIRECTORY))
            is_inside = os.path.abspath(path).startswith(os.path.abspath(module_dir) + os.sep)
            _write_variables(_prefix(template), _prefix(module_dir), _prefix(directory), facts, may_link=is_inside)
        return facts["lost"]

    def _template(self, module_dir: str) -> str:
        digest = _structure_digest(module_dir)
        if digest not in self._templates:
            directory = tempfile.TemporaryDirectory(prefix="hubpipe-twin-")
            isolated.call_eagerly(
                "hubpipe.saved_model.write:write_template", module_dir=module_dir, path=directory.name
            )
            self._templates[digest] = directory
        return self._templates[digest].name


def write_template(module_dir: str, path: str) -> None:
    """Writes the twin of a module without the values of its variables; called while executing eagerly.

    Args:
        module_dir: a TF1 Hub module.
        path: an empty directory.
    """
    built = twin.build(read.load_module_spec(module_dir))
    tf.saved_model.save(built.root, path, signatures=built.signatures)
    with suppress(FileNotFoundError):  # it tells of the bundle that is replaced
        os.remove(os.path.join(path, "fingerprint.pb"))
    facts = {
        "variables": _checkpoint_keys(_prefix(path), list(built.state.variables)),
        "parts": {name: part._asdict() for name, part in built.state.parts.items()},
        "hyperparameters": built.hyperparameters,
        "regularization_losses": built.losses,
        "attached_messages": {key: base64.b64encode(value).decode() for key, value in built.messages.items()},
        "lost": built.lost,
    }
    facts_path = os.path.join(path, FACTS_FILE)
    atomic.make_dirs(os.path.dirname(facts_path))
    records.write(facts_path, facts)


def _checkpoint_keys(prefix: str, names: list[str]) -> dict[str, str]:
    """dict variable -> its key in a checkpoint of the object; `names` in the order of the list `variables`."""
    serialized = tf1.train.load_variable(prefix, _OBJECT_GRAPH)
    nodes = trackable_object_graph_pb2.TrackableObjectGraph.FromString(serialized).nodes

    def child(node, name: str):
        return next(nodes[child.node_id] for child in node.children if child.local_name == name)

    found = child(nodes[0], "variables")
    return {name: child(found, str(index)).attributes[0].checkpoint_key for index, name in enumerate(names)}


def _structure_digest(module_dir: str) -> str:
    """A digest of all of a module but the values of its variables."""
    assets_dir = os.path.join(module_dir, format.ASSETS_DIRECTORY)
    assets = sorted(tf.io.gfile.listdir(assets_dir)) if tf.io.gfile.isdir(assets_dir) else []
    digest = hashlib.sha256(
        reading.read_bytes(os.path.join(module_dir, format.SAVED_MODEL_FILE), format.MAX_FILE_BYTES)
    )
    for name in assets:
        with tf.io.gfile.GFile(os.path.join(assets_dir, name), "rb") as file:
            data = file.read()
        digest.update(json.dumps([name, len(data)]).encode())
        digest.update(data)
    return digest.hexdigest()


def _write_variables(
    template_prefix: str, module_prefix: str, target_prefix: str, facts: Mapping, *, may_link: bool
) -> None:
    template = tensor_bundle.read(template_prefix)
    variables: dict[str, str] = facts["variables"]
    rest = {name: entry for name, entry in template.entries.items() if name not in set(variables.values())}
    sources = [(template, rest)]
    with tempfile.TemporaryDirectory(dir=os.path.dirname(target_prefix)) as directory:
        if variables:
            checkpoint = variables_lib.Checkpoint(module_prefix)
            entries = {key: _entry(checkpoint.bundle, name, facts["parts"]) for name, key in variables.items()}
            sources.append((checkpoint.bundle, {key: entry for key, entry in entries.items() if entry}))
            others = {key: name for name, key in variables.items() if entries[key] is None}
            if others:
                gathered = _gathered(checkpoint, others, facts["parts"], directory)
                sources.append((gathered, gathered.entries))

        def place(source: str, target: str) -> None:
            if may_link and os.path.dirname(source) == os.path.dirname(module_prefix):
                with suppress(OSError):
                    os.link(os.path.realpath(source), target)
                    return
            _copy(source, target)

        tensor_bundle.join(sources, target_prefix, place=place)


def _entry(bundle: tensor_bundle.Bundle, name: str, parts: Mapping[str, Mapping]) -> tensor_bundle.Entry | None:
    """Where a variable's bytes are, None if they do not lie in a row of their own."""
    if name not in parts:
        entry = bundle.entries[name]
        return None if entry.slices else entry
    part = parts[name]
    for piece, entry in bundle.parts(part["whole"]):
        if (list(piece.starts), list(piece.lengths)) == (part["starts"], part["lengths"]):
            return entry
    return None


def _gathered(
    checkpoint: variables_lib.Checkpoint, names: Mapping[str, str], parts: Mapping[str, Mapping], directory: str
) -> tensor_bundle.Bundle:
    """Writes values that are cut or put together otherwise in the module than in the twin."""
    stored = functools.lru_cache(maxsize=1)(checkpoint.value)  # the parts of a variable follow one another

    def value(name: str):
        if name not in parts:
            return stored(name)
        box = zip(parts[name]["starts"], parts[name]["lengths"], strict=True)
        return stored(parts[name]["whole"])[tuple(slice(start, start + length) for start, length in box)]

    prefix = os.path.join(directory, "gathered")
    by_name = sorted(names.items(), key=lambda item: item[1])
    variables_lib.write_portions(({key: value(name)} for key, name in by_name), prefix)
    return tensor_bundle.read(prefix)


@contextmanager
def _directory(path: str) -> Iterator[str]:
    """Where to write to on the local file system; it is at the path when the block ends."""
    with write.directory(path) as target:
        if paths.local(target) is not None:
            yield target
            return
        with tempfile.TemporaryDirectory() as directory:
            yield directory
            for root, _, names in os.walk(directory, topdown=False):  # saved_model.pb comes last
                # Not through os.path.join alone: on an object store "twin/./x" is another file than "twin/x".
                folder = target + root.removeprefix(directory)
                tf.io.gfile.makedirs(folder)
                for name in names:
                    tf.io.gfile.copy(os.path.join(root, name), os.path.join(folder, name))


def _copy(source: str, target: str) -> None:
    if paths.local(source) is None:
        tf.io.gfile.copy(source, target)
        return
    with open(paths.local(source), "rb", buffering=0) as data, open(target, "xb", buffering=0) as file:
        byte_ranges.append_range(data, 0, os.fstat(data.fileno()).st_size, file)


def _prefix(directory: str) -> str:
    return os.path.join(directory, format.VARIABLES_DIRECTORY, format.VARIABLES_PREFIX)
