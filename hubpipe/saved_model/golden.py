"""Golden values: inputs of a signature and the outputs they must give, on disk as a NumPy archive.

The archive has the arrays `inputs/<name>/0` and `outputs/<name>/0`; a sparse or ragged value has several, numbered
in TensorFlow's order of its dense tensors.
"""

import zipfile
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors
from hubpipe.hub import signature as signature_lib

_BATCH = 4
_IMAGE_SIDE = 64  # of images whose size a module leaves open
_LENGTH = 7  # of other dimensions that it leaves open
_WORDS = (b"a", b"small", b"example", b"of", b"text", b"that", b"nobody", b"wrote", b"42", b"na\xc3\xafve", b"")


def make(infos: Mapping[str, signature_lib.ParsedTensorInfo], seed: int = 0) -> dict[str, object]:
    """Makes up inputs of a signature: numbers in [0, 1], words, ids 0 and 1.

    Args:
        infos: of the signature's inputs.
        seed: of the random choices.
    Returns:
        dict name -> numpy array, SparseTensorValue or RaggedTensorValue.
    """
    rng = np.random.default_rng(seed)
    return {key: _value(info, rng) for key, info in sorted(infos.items())}


def _value(info: signature_lib.ParsedTensorInfo, rng: np.random.Generator):
    shape = info.get_shape()
    sizes = _sizes(shape)
    if info.is_sparse:
        cells = np.stack(np.nonzero(rng.uniform(size=sizes) < 0.5), axis=1).astype(np.int64)
        return tf1.SparseTensorValue(cells, _array(info.dtype, [len(cells)], rng), np.array(sizes, np.int64))
    if not info.is_composite:
        return _array(info.dtype, sizes, rng)
    spec = info.type_spec
    rows, splits = sizes[0], []
    for _ in range(spec.ragged_rank):
        ends = np.cumsum(rng.integers(0, 4, rows))
        splits.append(np.concatenate([[0], ends]).astype(spec.row_splits_dtype.as_numpy_dtype))
        rows = int(ends[-1])
    value = _array(info.dtype, [rows, *sizes[1 + spec.ragged_rank :]], rng)
    for split in reversed(splits):
        value = tf1.ragged.RaggedTensorValue(value, split)
    return value


def _sizes(shape: tf.TensorShape) -> list[int]:
    if shape.rank is None:
        return [_BATCH]
    open_size = _IMAGE_SIDE if shape.rank == 4 else _LENGTH
    return [
        size if size is not None else (open_size if axis else _BATCH) for axis, size in enumerate(shape.as_list())
    ]


def _array(dtype: tf.DType, sizes: list[int], rng: np.random.Generator) -> np.ndarray:
    if dtype == tf.string:
        return rng.choice(np.array(_WORDS, object), size=sizes)
    if dtype == tf.bool:
        return rng.uniform(size=sizes) < 0.5
    if dtype.is_integer:
        return rng.integers(0, 2, size=sizes).astype(dtype.as_numpy_dtype)
    return rng.uniform(size=sizes).astype(dtype.as_numpy_dtype)


def save(path: str, inputs: Mapping[str, object], outputs: Mapping[str, object]) -> None:
    """Writes an archive; called inside a staging directory.

    Args:
        path: the file.
        inputs: dict name -> numpy array, SparseTensorValue or RaggedTensorValue.
        outputs: alike.
    """
    arrays = {
        f"{side}/{name}/{index}": storable(component)
        for side, values in (("inputs", inputs), ("outputs", outputs))
        for name, value in values.items()
        for index, component in enumerate(components(value))
    }
    np.savez_compressed(path, **arrays)


def load(
    path: str, infos: Mapping[str, signature_lib.ParsedTensorInfo]
) -> tuple[dict[str, object], dict[str, list[np.ndarray]]]:
    """Reads an archive.

    Args:
        path: the file.
        infos: of the signature's inputs.
    Returns:
        The inputs, dict name -> value as `make` makes it; the outputs, dict name -> its dense arrays.
    Raises:
        HandleError: there is no such file.
        FormatError: it is broken, lacks an input, or has one that does not fit the signature.
    """
    found: dict[str, dict[str, list[np.ndarray]]] = {"inputs": {}, "outputs": {}}
    try:
        with np.load(path, allow_pickle=False) as archive:
            for key in sorted(archive.files):
                side, _, name = key.rpartition("/")[0].partition("/")
                found[side].setdefault(name, []).append(archive[key])
    except FileNotFoundError as error:
        raise errors.HandleError(f"{path}: no such file; expected an archive of golden values.") from error
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise errors.FormatError(f"{path}: not an archive of golden values: {error}") from error
    lacking = sorted(set(infos) - set(found["inputs"]))
    if lacking:
        raise errors.FormatError(f"{path}: lacks the inputs {lacking!r}; it has {sorted(found['inputs'])!r}.")
    inputs = {
        name: _composed(found["inputs"][name], info, f"{path}: the input {name!r}") for name, info in infos.items()
    }
    return inputs, found["outputs"]


def components(value) -> list[np.ndarray]:
    """The dense arrays that a value is made of, in TensorFlow's order."""
    if isinstance(value, tf1.SparseTensorValue):
        return [np.asarray(part) for part in value]
    if isinstance(value, tf1.ragged.RaggedTensorValue):
        return [np.asarray(value.flat_values), *value.nested_row_splits]
    return [np.asarray(value)]


def _composed(arrays: list[np.ndarray], info: signature_lib.ParsedTensorInfo, where: str):
    expected = len(tf.nest.flatten(info.type_spec, expand_composites=True))
    if len(arrays) != expected:
        raise errors.FormatError(f"{where} has {len(arrays)} arrays, expected {expected}.")
    if info.is_sparse:
        indices, values, dense_shape = arrays
        return tf1.SparseTensorValue(indices, _typed(values, info, where), dense_shape)
    value, *splits = arrays
    value = _typed(value, info, where)
    if not splits and not info.get_shape().is_compatible_with(value.shape):
        raise errors.FormatError(f"{where} has shape {value.shape}, expected {info.get_shape()}.")
    for split in reversed(splits):
        value = tf1.ragged.RaggedTensorValue(value, split)
    return value


def _typed(array: np.ndarray, info: signature_lib.ParsedTensorInfo, where: str) -> np.ndarray:
    is_string = array.dtype.kind in "SU"
    if is_string != (info.dtype == tf.string):
        raise errors.FormatError(f"{where} is {array.dtype}, expected {info.dtype.name}.")
    return array if is_string else array.astype(info.dtype.as_numpy_dtype)


def storable(array: np.ndarray) -> np.ndarray:
    """What an archive holds without pickling: strings of fixed length (they lose NULs at the end), no bfloat16."""
    if array.dtype == object or array.dtype.kind == "U":
        return np.vectorize(tf.compat.as_bytes, otypes=[object])(array).astype("S")
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array
