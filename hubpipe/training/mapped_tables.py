"""Partitioned variables for evaluation, mapped from disk: tables that are larger than memory.

Training holds the parts of such a table on parameter servers. Evaluation looks up some of its rows. So the bytes
are copied out of the checkpoint, a file for each part, and the parts are mapped from there: rows are read when
they are looked up, and the operating system drops them again when it needs the memory.
"""

import os
from collections.abc import Iterable, Iterator, Sequence

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors
from hubpipe.files import atomic, byte_ranges, tensor_bundle

FOLDER = "mapped"  # of the model_dir; takes as much as the tables do


class MappedTables:
    """The variables of a graph that are parts of larger ones, divided along the first axis.

    Attributes:
        variables: those parts; a Saver should leave them alone.
    """

    def __init__(self, variables: Iterable[tf.Variable], directory: str):
        """Adds the ops that map.

        Args:
            variables: of the graph.
            directory: where to put the bytes; made if there are any.
        """
        self._directory = directory
        self.variables = [variable for variable in variables if _is_part(variable)]
        # A variable that has a value would be given a copy of the next one.
        self._clear = tf.group(
            *(tf.raw_ops.DestroyResourceOp(resource=variable.handle) for variable in self.variables)
        )
        self._assigns = [
            tf.raw_ops.AssignVariableOp(
                resource=variable.handle,
                value=tf.raw_ops.ImmutableConst(
                    dtype=variable.dtype, shape=variable.shape, memory_region_name=self._path(place)
                ),
            )
            for place, variable in enumerate(self.variables)
        ]
        if self.variables:
            atomic.make_dirs(directory)

    def session_config(self, config: tf1.ConfigProto | None) -> tf1.ConfigProto | None:
        """What the session needs: TensorFlow would fold what is mapped into constants, in memory."""
        if not self.variables:
            return config
        unfolded = tf1.ConfigProto()
        if config is not None:
            unfolded.CopyFrom(config)
        options = unfolded.graph_options
        options.optimizer_options.opt_level = options.optimizer_options.L0
        options.rewrite_options.constant_folding = options.rewrite_options.OFF
        return unfolded

    def restore(self, session: tf1.Session, checkpoint_path: str) -> None:
        """Gives the variables their values in a checkpoint.

        Raises:
            FormatError: the checkpoint is broken, or lacks a table.
        """
        if not self.variables:
            return
        bundle = tensor_bundle.read(checkpoint_path)
        for place, variable in enumerate(self.variables):
            self._write(self._path(place), bundle, variable)
        session.run(self._clear)
        session.run(self._assigns)

    def close(self) -> None:
        """Removes the bytes."""
        for place, _ in enumerate(self.variables):
            _remove(self._path(place))

    def _path(self, place: int) -> str:
        return os.path.join(self._directory, f"part-{place:05d}")

    def _write(self, path: str, bundle: tensor_bundle.Bundle, variable: tf.Variable) -> None:
        info = variable._get_save_slice_info()
        pieces = [piece for _, piece in bundle.parts(info.full_name)]
        if not pieces and info.full_name in bundle.entries:
            pieces = [bundle.entries[info.full_name]]
        row_bytes = variable.dtype.size * variable.shape[1:].num_elements()
        found, expected = sum(piece.size for piece in pieces), info.full_shape[0] * row_bytes
        if found != expected:
            raise errors.FormatError(
                f"{bundle.index_path}: has {found} bytes of {info.full_name!r}, expected {expected}"
            )
        start = info.var_offset[0] * row_bytes
        _remove(path)  # not written anew: the values of before are still mapped
        with open(path, "xb", buffering=0) as target:
            for shard, offset, size in _ranges(pieces, start, info.var_shape[0] * row_bytes):
                with open(bundle.shard_path(shard), "rb", buffering=0) as data:
                    byte_ranges.append_range(data, offset, size, target)


def _is_part(variable: tf.Variable) -> bool:
    info = variable._get_save_slice_info()
    return info is not None and list(info.full_shape[1:]) == list(info.var_shape[1:])


def _ranges(pieces: Sequence[tensor_bundle.Entry], start: int, size: int) -> Iterator[tuple[int, int, int]]:
    """Where some bytes of a tensor lie that is stored in pieces: (shard, offset, size) of each range, in order."""
    end, before = start + size, 0
    for piece in pieces:
        first, last = max(start, before), min(end, before + piece.size)
        if first < last:
            yield piece.shard, piece.offset + first - before, last - first
        before += piece.size


def _remove(path: str) -> None:
    if os.path.exists(path):
        os.remove(path)
