"""Evaluates a module without a graph or a session of one's own."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Collection, Iterator, Mapping

import numpy as np
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors
from hubpipe.hub import module as module_lib
from hubpipe.hub import signature as signature_lib
from hubpipe.hub import spec as spec_lib


@contextlib.contextmanager
def eval_function_for_module(
    spec: spec_lib.ModuleSpec | str, tags: Collection[str] | None = None
) -> Iterator[Callable]:
    """A context manager that yields a function from values to values.

        with hub.eval_function_for_module("/tmp/text-embedding") as f:
            embeddings = f(["Hello world!"])  # float32 [1, dim]

    The module has a graph and a session of its own, its variables and tables initialized. The function takes
    `(inputs=None, signature=None, as_dict=False)` as Module.__call__ does; values are numpy arrays, what converts
    to them, SparseTensorValue and RaggedTensorValue.

    Args:
        spec: a ModuleSpec, or the handle of a module for load_module_spec.
        tags: the graph variant; None is the variant without tags.
    Yields:
        The function. It raises SignatureError and SignatureInputError as Module.__call__ does.
    Raises:
        SignatureError, HandleError, FormatError: as Module.
    """
    with tf.Graph().as_default() as graph:
        module = module_lib.Module(spec, tags=tags)
        initializers = [tf1.global_variables_initializer(), tf1.tables_initializer()]

    @functools.cache
    def application(signature: str, as_dict: bool) -> _Application:
        with graph.as_default():
            return _apply(module, signature, as_dict)

    def evaluate(inputs=None, _sentinel: None = None, signature: str | None = None, as_dict: bool | None = False):
        if _sentinel is not None:
            raise TypeError("The function takes signature and as_dict by keyword only.")
        signature = signature or signature_lib.DEFAULT
        values = signature_lib.match_inputs(inputs, module.get_input_info_dict(signature))
        applied = application(signature, bool(as_dict))
        return session.run(applied.outputs, applied.feeds(values))

    with contextlib.closing(tf1.Session(graph=graph)) as session:
        session.run(initializers)
        yield evaluate


@dataclasses.dataclass(frozen=True)
class _Application:
    """A signature applied to placeholders.

    Attributes:
        infos: dict name -> ParsedTensorInfo of the inputs.
        placeholders: dict name -> what to feed.
        outputs: a tensor, or a dict name -> tensor.
    """

    infos: dict[str, signature_lib.ParsedTensorInfo]
    placeholders: dict
    outputs: object

    def feeds(self, values: Mapping[str, object]) -> dict:
        """The feed_dict for values by the names of the inputs."""
        return {self.placeholders[key]: _checked(value, self.infos[key], key) for key, value in values.items()}


def _apply(module: module_lib.Module, signature: str, as_dict: bool) -> _Application:
    infos = module.get_input_info_dict(signature)
    placeholders = {key: _placeholder(info) for key, info in infos.items()}
    return _Application(infos, placeholders, module(placeholders, signature=signature, as_dict=as_dict))


def _placeholder(info: signature_lib.ParsedTensorInfo):
    """A placeholder; of a SparseTensor or RaggedTensor, one that placeholders make up."""
    return tf.nest.map_structure(
        lambda spec: tf1.placeholder(spec.dtype, spec.shape), info.type_spec, expand_composites=True
    )


def _checked(value, info: signature_lib.ParsedTensorInfo, key: str):
    """A value as Session.run takes it for an input."""
    composite = _value_type(info)
    if composite is not None:
        if not isinstance(value, composite):
            raise errors.SignatureInputError(
                f"Can't convert {key!r}: Got {type(value).__name__}. Expected {composite.__name__}."
            )
        return value
    if isinstance(value, (tf1.SparseTensorValue, tf1.ragged.RaggedTensorValue)):
        raise errors.SignatureInputError(f"Can't convert {key!r}: Got {type(value).__name__}. Expected an array.")
    try:
        array = np.asarray(value, info.dtype.as_numpy_dtype)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise errors.SignatureInputError(f"Can't convert {key!r} to {info.dtype.name}: {error}") from error
    if not info.get_shape().is_compatible_with(array.shape):
        raise errors.SignatureInputError(
            f"Can't convert {key!r}: Got shape {array.shape}. Expected {info.get_shape()}."
        )
    return array


def _value_type(info: signature_lib.ParsedTensorInfo) -> type | None:
    """The type of an input's values, None for arrays."""
    if info.is_sparse:
        return tf1.SparseTensorValue
    if isinstance(info.type_spec, tf.RaggedTensorSpec):
        return tf1.ragged.RaggedTensorValue
    return None
