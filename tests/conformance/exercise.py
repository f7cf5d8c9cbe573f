"""Does with a module, whatever its state, all that a consumer does with one."""

import dataclasses
import os
import random
import shutil

import numpy as np
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, hub

_MOST_ELEMENTS = 1 << 20  # of an input
_RUN_SECONDS = 60  # far above what any run takes: only one that does not end gets there
_CONFIG = tf1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How it went.

    Attributes:
        kind: "accepted", "refused" (an error that hubpipe documents), "failed in a session" (an error of
            TensorFlow that Session.run raises) or "bug".
        error: the name of the error's class.
        detail: what else there is to say of a bug.
    """

    kind: str
    error: str = ""
    detail: str = ""


def exercise(module_dir: str, rng: random.Random) -> Outcome:
    """Loads a module, applies it, runs it and exports it, each variant in a graph of its own.

    Args:
        module_dir: a local directory.
        rng: chooses what consumers choose.
    """
    before = _listing(module_dir)
    try:
        outcome = _exercise(module_dir, rng)
    except Exception as error:  # noqa: BLE001  what it is decides whether it is a bug
        outcome = _judged(error)
    if _listing(module_dir) != before:
        return Outcome("bug", "wrote", "the module directory has changed")
    return outcome


class _InSession(Exception):
    """What Session.run raised."""


def _exercise(module_dir: str, rng: random.Random) -> Outcome:
    spec = hub.load_module_spec(module_dir)
    hub.create_module_spec_from_saved_model(module_dir)
    in_session = None
    for tags in sorted(spec.get_tags(), key=sorted):
        try:
            _consume(spec, tags, rng.random() < 0.5, f"{module_dir}-exported")
        except _InSession as error:
            in_session = error.__cause__
        finally:
            shutil.rmtree(f"{module_dir}-exported", ignore_errors=True)
    return Outcome("failed in a session", type(in_session).__name__) if in_session else Outcome("accepted")


def _consume(spec: hub.ModuleSpec, tags: frozenset[str], trainable: bool, export_dir: str) -> None:
    with tf.Graph().as_default():
        module = hub.Module(spec, trainable=trainable, tags=tags)
        applied = []
        for signature in module.get_signature_names():
            module.get_output_info_dict(signature)
            inputs = {key: placeholder(info) for key, info in module.get_input_info_dict(signature).items()}
            applied.append((inputs, module(inputs, signature=signature, as_dict=True)))
        spec.export(export_dir, checkpoint_path=spec.checkpoint_path) if spec.variable_shapes() else None
        shutil.rmtree(export_dir, ignore_errors=True)
        with tf1.Session(config=_CONFIG) as session:
            _run(session, [tf1.global_variables_initializer(), tf1.tables_initializer()])
            _run(session, tf1.get_collection(tf1.GraphKeys.REGULARIZATION_LOSSES))
            for inputs, outputs in applied:
                _run(session, outputs, _zeros(inputs))
            try:
                module.export(export_dir, session)
            except tf.errors.OpError as error:
                raise _InSession from error
            hub.load_module_spec(export_dir)


def _run(session: tf1.Session, fetches, feeds=None) -> None:
    try:
        session.run(fetches, feeds, options=tf1.RunOptions(timeout_in_ms=_RUN_SECONDS * 1000))
    except tf.errors.OpError as error:
        raise _InSession from error


def placeholder(info: hub.ParsedTensorInfo):
    """What an input declares to take."""
    return tf.nest.map_structure(
        lambda spec: tf1.placeholder(spec.dtype, spec.shape), info.type_spec, expand_composites=True
    )


def _zeros(inputs) -> dict[tf.Tensor, np.ndarray]:
    """Feeds for placeholders: two zeros along an unknown axis, sparse and ragged tensors without values."""
    feeds = {}
    for value in inputs.values():
        if isinstance(value, tf.Tensor):
            feeds[value] = _zero(value, 2)
        elif isinstance(value, tf.SparseTensor):
            feeds.update({tensor: _zero(tensor, 0) for tensor in (value.indices, value.values)})
            feeds[value.dense_shape] = _zero(value.dense_shape, 2)
        else:
            feeds[value.flat_values] = _zero(value.flat_values, 0)
            feeds.update({row_splits: _zero(row_splits, 1) for row_splits in value.nested_row_splits})
    return feeds


def _zero(tensor: tf.Tensor, unknown: int) -> np.ndarray:
    known = [None] if tensor.shape.rank is None else tensor.shape
    sizes = [unknown if size is None else size for size in known]
    if np.prod(sizes, dtype=float) > _MOST_ELEMENTS:
        raise _InSession from tf.errors.ResourceExhaustedError(None, None, f"an input of shape {sizes}")
    return np.full(sizes, "" if tensor.dtype == tf.string else 0, tensor.dtype.as_numpy_dtype)


def _judged(error: Exception) -> Outcome:
    name = type(error).__name__
    if isinstance(error, errors.HubpipeError):
        return Outcome("refused", name)
    if isinstance(error, tf.errors.NotFoundError) and "this TensorFlow does not know" in str(error):
        return Outcome("refused", name)
    return Outcome("bug", name, str(error))


def _listing(directory: str) -> list[tuple[str, int, int]]:
    return sorted(
        (os.path.join(parent, name), status.st_size, status.st_mtime_ns)
        for parent, _, names in os.walk(directory)
        for name in names
        for status in [os.lstat(os.path.join(parent, name))]
    )
