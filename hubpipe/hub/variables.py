"""Values of a module's variables: from a checkpoint or a session to the module's tensor bundle."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors
from hubpipe.files import paths, tensor_bundle
from hubpipe.hub import reading

# Values that pass through memory do so in portions of this size, at least one variable each.
_PORTION_BYTES = 64 << 20


def latest(path: str) -> str:
    """The prefix of the latest checkpoint in a directory; the path itself if it is no such directory."""
    return tf1.train.latest_checkpoint(path) or path


class Checkpoint:
    """A checkpoint that variables are taken from.

    Args:
        prefix: e.g. "/models/run/model.ckpt-200".
        accept_v1: whether the format of TensorFlow before 1.0 will do; nothing of it is checked.
    Attributes:
        bundle: the index of the checkpoint; None for the format of TensorFlow before 1.0.
    Raises:
        FormatError: there is none, or it is broken.
    """

    def __init__(self, prefix: str, *, accept_v1: bool = False):
        self.path = prefix
        index_path = prefix + ".index"
        self.bundle = None
        if not accept_v1 or tf.io.gfile.exists(index_path):
            # TensorFlow's reader trusts the index: some of what it could hold would end the process.
            index = reading.read_bytes(index_path, tensor_bundle.MAX_INDEX_BYTES)
            self.bundle = tensor_bundle.decode(index, paths.local(prefix) or prefix, _file_size)
        try:
            self._reader = tf1.train.NewCheckpointReader(prefix)
        except (tf.errors.OpError, ValueError, RuntimeError) as error:
            raise errors.FormatError(f"{prefix}: cannot be read as a checkpoint: {error}") from error

    def check(
        self, names: Mapping[str, str], shapes: Mapping[str, tuple[tf.DType, tf.TensorShape]]
    ) -> None:
        """Checks that the checkpoint has what a module needs.

        Args:
            names: dict name in the module -> name in the checkpoint.
            shapes: dict name in the module -> (dtype, shape).
        Raises:
            ModuleSpecError: naming every variable that is missing or differs.
        """
        known, types = self._reader.get_variable_to_shape_map(), self._reader.get_variable_to_dtype_map()
        problems = []
        for name, source in names.items():
            dtype, shape = shapes[name]
            if source not in known:
                problems.append(f"Tensor {source} is not found in {self.path} checkpoint (for variable {name!r})")
            elif not shape.is_compatible_with(known[source]):
                problems.append(
                    f"Shape of variable {name} ({shape}) doesn't match with shape of tensor {source} "
                    f"({known[source]}) from checkpoint reader {self.path}"
                )
            elif dtype.base_dtype != types[source].base_dtype:
                problems.append(
                    f"Variable {name} is {dtype.base_dtype.name}, "
                    f"tensor {source} of {self.path} is {types[source].name}"
                )
        if problems:
            raise errors.ModuleSpecError("\n".join(problems))

    def value(self, name: str) -> np.ndarray | bytes:
        """The value of a tensor, whole."""
        return self._reader.get_tensor(name)

    def copy(self, names: Mapping[str, str], prefix: str) -> None:
        """Writes a tensor bundle with some of the checkpoint's tensors.

        Args:
            names: dict name to write -> name in the checkpoint; a partitioned tensor is written whole.
            prefix: the bundle to write.
        """
        if names and not self._copy_bytes(names, prefix):
            sizes = self._reader.get_variable_to_shape_map()
            types = self._reader.get_variable_to_dtype_map()
            portions = _portions(
                (name, np.prod(sizes[source], dtype=np.int64) * max(types[source].size, 1))
                for name, source in sorted(names.items())
            )
            write_portions(
                ({name: self.value(names[name]) for name in portion} for portion in portions), prefix
            )

    def _copy_bytes(self, names: Mapping[str, str], prefix: str) -> bool:
        """Copies by byte ranges; False if the files or some tensors do not allow it."""
        source, target = paths.local(self.path), paths.local(prefix)
        if source is None or target is None or self.bundle is None:
            return False
        if len(set(names.values())) < len(names) or tensor_bundle.uncopyable(self.bundle, names.values()):
            return False
        tensor_bundle.copy(self.bundle, {name: target_name for target_name, name in names.items()}, target)
        return True


def _file_size(path: str) -> int:
    try:
        return tf.io.gfile.stat(path).length
    except tf.errors.NotFoundError as error:
        raise FileNotFoundError(path) from error


def write_from_session(variable_map: Mapping[str, object], session: tf1.Session, prefix: str) -> None:
    """Writes a tensor bundle with the values that variables have in a session; adds nothing to its graph.

    Args:
        variable_map: dict name to write -> variable, or the list of a partitioned variable's parts.
        session: a session of the variables' graph.
        prefix: the bundle to write.
    """
    if not variable_map:
        return
    sizes = {
        name: sum((part.shape.num_elements() or 0) * part.dtype.size for part in parts(variable))
        for name, variable in variable_map.items()
    }
    portions = _portions((name, sizes[name]) for name in sorted(variable_map))
    write_portions(
        (
            {
                name: _join(values, parts(variable_map[name]))
                for name, values in session.run({name: parts(variable_map[name]) for name in portion}).items()
            }
            for portion in portions
        ),
        prefix,
    )


def parts(variable: tf.Variable | list[tf.Variable]) -> list[tf.Variable]:
    """The parts of a value of a variable map, in order; a variable that is not partitioned is its only part."""
    return variable if isinstance(variable, list) else [variable]


def _join(values: list[np.ndarray], variables: list) -> np.ndarray:
    """The whole of a partitioned variable, from its parts and where they belong."""
    if len(values) == 1:
        return values[0]
    whole = np.empty(variables[0]._get_save_slice_info().full_shape, values[0].dtype)
    for value, variable in zip(values, variables, strict=True):
        info = variable._get_save_slice_info()
        where = tuple(
            slice(start, start + size) for start, size in zip(info.var_offset, info.var_shape, strict=True)
        )
        whole[where] = value
    return whole


def _portions(sizes: Iterable[tuple[str, int]]) -> Iterator[list[str]]:
    portion, total = [], 0
    for name, size in sizes:
        if portion and total + size > _PORTION_BYTES:
            yield portion
            portion, total = [], 0
        portion.append(name)
        total += size
    yield portion


def write_portions(portions: Iterable[Mapping[str, np.ndarray]], prefix: str) -> None:
    """Writes values as a tensor bundle, a portion at a time.

    Args:
        portions: dict name -> value, at least one; only one portion need fit into memory.
        prefix: the bundle to write; each portion becomes a data file.
    """
    written = []
    for values in portions:
        part = f"{prefix}-part-{len(written):05d}"
        with tf.Graph().as_default(), tf1.Session() as session:
            feeds = [tf1.placeholder(_dtype(value)) for value in values.values()]
            save = tf.raw_ops.SaveV2(
                prefix=part, tensor_names=list(values), shape_and_slices=[""] * len(values), tensors=feeds
            )
            session.run(save, dict(zip(feeds, values.values(), strict=True)))
        written.append(part)
    with tf.Graph().as_default(), tf1.Session() as session:
        session.run(tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=written, destination_prefix=prefix))


def _dtype(value: np.ndarray | np.generic | bytes) -> tf.DType:
    """The dtype of a value that TensorFlow returned; strings are arrays of objects, a single one is bytes."""
    is_string = isinstance(value, bytes) or value.dtype == object
    return tf.string if is_string else tf.as_dtype(value.dtype)
