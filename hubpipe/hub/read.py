"""A module directory to a ModuleSpec."""

import os

import tensorflow as tf
from google.protobuf import message as protobuf
from tensorflow.core.protobuf import saved_model_pb2

from hubpipe import errors
from hubpipe.hub import assets, format, reading, soundness, spec
from hubpipe.hub import variant as variant_lib
from hubpipe.hub.handles import resolver

_KNOWN_FEATURES: frozenset[str] = frozenset()


def load_module_spec(path: str) -> spec.ModuleSpec:
    """Loads a module from its handle.

    Args:
        path: a directory, or an archive named *.tar, *.tar.gz or *.tgz, of any file system that TensorFlow knows;
            or a URL, http:// or https://. See handles.resolver for what becomes of archives and URLs.
    Returns:
        A ModuleSpec whose modules are initialized with the values on disk.
    Raises:
        HandleError: the handle leads nowhere, or cannot be downloaded.
        NotAModuleError: what it leads to is no module.
        FormatError: it is broken, or needs features that hubpipe does not know.
    """
    module_dir = resolver.resolve(path)
    check_module_file(module_dir)
    path = os.path.join(module_dir, format.SAVED_MODEL_FILE)
    saved_model = _parse(path, saved_model_pb2.SavedModel)
    variants = {}
    for meta_graph in saved_model.meta_graphs:
        variant = variant_lib.Variant(meta_graph, path)
        soundness.check(variant)
        assets.attach(meta_graph, os.path.join(module_dir, format.ASSETS_DIRECTORY))
        if variant.tags in variants:
            raise errors.FormatError(f"{path} has {variant.describe()} twice; tags must be unique.")
        variants[variant.tags] = variant
    if not variants:
        raise errors.FormatError(f"{path} has no graph variants.")
    prefix = os.path.join(module_dir, format.VARIABLES_DIRECTORY, format.VARIABLES_PREFIX)
    return spec.ModuleSpec(list(variants.values()), checkpoint_path=prefix)


def is_module(module_dir: str) -> bool:
    """True if a directory holds a TF1 Hub module."""
    return tf.io.gfile.exists(os.path.join(module_dir, format.MODULE_FILE))


def check_module_file(module_dir: str) -> None:
    """Refuses a directory that does not say that it is a module which hubpipe can read.

    Raises:
        NotAModuleError: it does not say that it is a module.
        FormatError: it cannot be read, is one of another format, or needs features that hubpipe does not know.
    """
    path = os.path.join(module_dir, format.MODULE_FILE)
    if not is_module(module_dir):
        raise errors.NotAModuleError(
            f"{module_dir}: not a TF1 Hub module, it has no {format.MODULE_FILE}{_advice(module_dir)}."
        )
    module_def = _parse(path, format.ModuleDef)
    unknown = sorted(set(module_def.required_features) - _KNOWN_FEATURES)
    if unknown:
        raise errors.FormatError(f"{path}: the module requires features that hubpipe does not know: {unknown!r}.")
    if module_def.format != format.FORMAT_V3:
        raise errors.FormatError(f"{path}: unsupported format {module_def.format}, expected {format.FORMAT_V3}.")


def _advice(module_dir: str) -> str:
    """What a directory may be instead, and what to do then.

    Raises:
        FormatError: it cannot be read.
    """
    try:
        names = [name.rstrip("/") for name in tf.io.gfile.listdir(module_dir)]
    except tf.errors.OpError as error:
        raise errors.FormatError(f"{module_dir}: cannot be read: {error.message}") from error
    if format.SAVED_MODEL_FILE in names:
        return (
            "; it is a SavedModel: one of TensorFlow 2 is loaded with tf.saved_model.load, of one of TensorFlow 1 "
            "hub.create_module_spec_from_saved_model makes a module"
        )
    versions = [name for name in names if name.isdecimal()]
    if versions:
        return f"; it holds versions, such as {os.path.join(module_dir, max(versions, key=int))}"
    return ""


def _parse(path: str, message_type: type):
    try:
        return message_type.FromString(reading.read_bytes(path, format.MAX_FILE_BYTES))
    except protobuf.DecodeError as error:
        kind = message_type.DESCRIPTOR.full_name
        raise errors.FormatError(f"{path}: not a serialized {kind}: {error}") from error
