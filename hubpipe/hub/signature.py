"""Signatures: what a module takes and returns, and how values become its inputs."""

import dataclasses
from collections.abc import Iterator, Mapping

import tensorflow as tf
from tensorflow.compat import v1 as tf1
from tensorflow.core.protobuf import meta_graph_pb2

from hubpipe import errors
from hubpipe.compat import graph as compat_graph

DEFAULT = "default"
# Not a string, so that graph.get_all_collection_keys() does not show it.
_COLLECTION = ("hubpipe.signatures",)
_SUPPORTED_TYPES = (tf.Tensor, tf.SparseTensor, tf.RaggedTensor)


def add_signature(name: str | None = None, inputs=None, outputs=None) -> None:
    """Adds a signature to the module that is being defined; call it in a module_fn.

    Args:
        name: the signature's name, "default" if None.
        inputs: dict name -> Tensor, SparseTensor or RaggedTensor; one of these alone means {"default": it};
            None for a signature without inputs.
        outputs: like inputs.
    Raises:
        ModuleSpecError: a value of another type, a name that is used twice, or no outputs.
    """
    name = DEFAULT if name is None else name
    signature = (name, _as_dict(inputs), _as_dict(outputs))
    problems = [
        f"{side} {key!r} is {value!r}"
        for side, values in (("input", signature[1]), ("output", signature[2]))
        for key, value in values.items()
        if not isinstance(value, _SUPPORTED_TYPES)
    ]
    if problems:
        types = ", ".join(supported.__name__ for supported in _SUPPORTED_TYPES)
        raise errors.ModuleSpecError(
            f"Signature {name!r}: {'; '.join(problems)}; "
            f"each input and output should have one of the types {types}."
        )
    if name in added():
        raise errors.ModuleSpecError(f"Signature {name!r} is added twice; give each signature its own name.")
    tf1.add_to_collection(_COLLECTION, signature)


def added() -> dict[str, tuple[dict, dict]]:
    """The signatures of the module that is being defined: dict name -> (inputs, outputs), dicts name -> tensor."""
    return {name: (inputs, outputs) for name, inputs, outputs in tf1.get_collection(_COLLECTION)}


def _as_dict(values) -> dict:
    if values is None:
        return {}
    return dict(values) if isinstance(values, Mapping) else {DEFAULT: values}


def collect(graph: tf.Graph) -> dict[str, meta_graph_pb2.SignatureDef]:
    """The signatures added to a graph, by name."""
    with graph.as_default():
        return {
            name: meta_graph_pb2.SignatureDef(
                inputs={key: tf1.saved_model.build_tensor_info(value) for key, value in inputs.items()},
                outputs={key: tf1.saved_model.build_tensor_info(value) for key, value in outputs.items()},
            )
            for name, (inputs, outputs) in added().items()
        }


@dataclasses.dataclass(frozen=True)
class ParsedTensorInfo:
    """One input or output of a signature.

    Attributes:
        dtype: tf.DType of the values.
        is_sparse: True for a SparseTensor.
        type_spec: tf.TypeSpec of the tensor.
    """

    dtype: tf.DType
    is_sparse: bool
    type_spec: tf.TypeSpec
    _shape: tf.TensorShape

    @classmethod
    def from_proto(cls, info: meta_graph_pb2.TensorInfo) -> "ParsedTensorInfo":
        """Parses a TensorInfo of a SignatureDef."""
        encoding = info.WhichOneof("encoding")
        if encoding == "composite_tensor":
            type_spec = compat_graph.decode_type_spec(info.composite_tensor.type_spec)
            return cls(type_spec.dtype, False, type_spec, type_spec.shape)
        dtype, shape = tf.as_dtype(info.dtype), tf.TensorShape(info.tensor_shape)
        if encoding == "coo_sparse":
            return cls(dtype, True, tf.SparseTensorSpec(shape, dtype), shape)
        return cls(dtype, False, tf.TensorSpec(shape, dtype), shape)

    @property
    def is_composite(self) -> bool:
        """True for a tensor that several dense tensors make up, such as a SparseTensor."""
        return not isinstance(self.type_spec, tf.TensorSpec)

    @property
    def is_supported_type(self) -> bool:
        """True for the types a module can be called with: dense, sparse and ragged tensors."""
        return isinstance(self.type_spec, (tf.TensorSpec, tf.SparseTensorSpec, tf.RaggedTensorSpec))

    def get_shape(self) -> tf.TensorShape:
        """The static shape, dense shape for sparse and ragged tensors."""
        return self._shape

    def __repr__(self) -> str:
        if self.is_composite and not self.is_sparse:
            return f"<hub.ParsedTensorInfo type_spec={self.type_spec}>"
        return f"<hub.ParsedTensorInfo shape={self._shape} dtype={self.dtype.name} is_sparse={self.is_sparse}>"


def component_names(info: meta_graph_pb2.TensorInfo) -> list[str]:
    """Names of the dense tensors that make up an input or output, e.g. ["x:0"]."""
    encoding = info.WhichOneof("encoding")
    if encoding == "coo_sparse":
        sparse = info.coo_sparse
        return [sparse.indices_tensor_name, sparse.values_tensor_name, sparse.dense_shape_tensor_name]
    if encoding == "composite_tensor":
        return [component.name for component in info.composite_tensor.components]
    return [info.name]


def labelled_components(key: str, info: meta_graph_pb2.TensorInfo) -> Iterator[tuple[str, str]]:
    """Pairs (label, tensor name) of an input for messages, e.g. ("x.indices", "x/indices:0")."""
    encoding = info.WhichOneof("encoding")
    names = component_names(info)
    if encoding == "coo_sparse":
        yield from zip((f"{key}.{part}" for part in ("indices", "values", "dense_shape")), names, strict=True)
    elif encoding == "composite_tensor":
        yield from ((f"{key}.component_{index}", name) for index, name in enumerate(names))
    else:
        yield key, names[0]


def components(value) -> list[tf.Tensor]:
    """The dense tensors of a Tensor, SparseTensor or RaggedTensor, in the order of component_names."""
    return tf.nest.flatten(value, expand_composites=True)


def compose(info: meta_graph_pb2.TensorInfo, tensors: list[tf.Tensor]):
    """The inverse of components: the tensor that an output's dense tensors make up."""
    parsed = ParsedTensorInfo.from_proto(info)
    if parsed.is_sparse:
        return tf.SparseTensor(*tensors)
    if parsed.is_composite:
        return tf.nest.pack_sequence_as(parsed.type_spec, tensors, expand_composites=True)
    return tensors[0]


def placeholder(info: ParsedTensorInfo):
    """Adds a placeholder for an input to the current graph."""
    spec = info.type_spec
    if isinstance(spec, tf.SparseTensorSpec):
        return tf1.sparse_placeholder(spec.dtype, spec.shape)
    if isinstance(spec, tf.RaggedTensorSpec):
        return tf1.ragged.placeholder(spec.dtype, spec.ragged_rank, spec.shape[1 + spec.ragged_rank :])
    return tf1.placeholder(spec.dtype, spec.shape)


def convert_inputs(inputs, infos: Mapping[str, ParsedTensorInfo], signature: str) -> dict:
    """Turns what a module is called with into its inputs.

    Args:
        inputs: a dict name -> value, or the value of the only input; values are tensors, numpy arrays, lists.
        infos: dict name -> ParsedTensorInfo of the signature's inputs.
        signature: its name, for messages.
    Returns:
        dict name -> Tensor, SparseTensor or RaggedTensor of the declared dtype.
    Raises:
        SignatureInputError: missing, unexpected or unconvertible inputs.
        SignatureError: an input of a type that modules cannot take.
    """
    for key, info in infos.items():
        if not info.is_supported_type:
            raise errors.SignatureError(
                f"Signature {signature!r} expects a {info.type_spec.value_type.__name__} for input {key!r}, "
                "which is not supported by this version of hubpipe."
            )
    values = match_inputs(inputs, infos)
    return {key: _convert(values[key], info, key) for key, info in infos.items()}


def match_inputs(inputs, infos: Mapping[str, ParsedTensorInfo]) -> dict:
    """What a module is called with, by the names of the inputs.

    Args:
        inputs: a dict name -> value, or the value of the only input.
        infos: dict name -> ParsedTensorInfo of the signature's inputs.
    Raises:
        SignatureInputError: naming all inputs that are missing or unexpected.
    """
    values = _by_name(inputs, infos)
    missing, extra = sorted(set(infos) - set(values)), sorted(set(values) - set(infos), key=str)
    if missing or extra:
        raise errors.SignatureInputError(f"Cannot convert dict_inputs: missing {missing!r}, extra given {extra!r}")
    return values


def _by_name(inputs, infos: Mapping[str, ParsedTensorInfo]) -> dict:
    if inputs is None:
        return {}
    if isinstance(inputs, Mapping):
        return dict(inputs)
    if len(infos) == 1:
        return {next(iter(infos)): inputs}
    if not infos:
        raise errors.SignatureInputError("Signature expects no inputs.")
    raise errors.SignatureInputError(
        f"Signature expects multiple inputs. Use a dict. Its keys are {sorted(infos)!r}."
    )


def _convert(value, info: ParsedTensorInfo, key: str):
    expected = info.type_spec.value_type
    value = _from_session_value(value)
    if expected is tf.Tensor and not isinstance(value, (tf.SparseTensor, tf.RaggedTensor)):
        try:
            value = tf.convert_to_tensor(value, dtype=info.dtype)
        except (TypeError, ValueError) as error:
            raise errors.SignatureInputError(f"Can't convert {key!r}: {error}") from error
    if not isinstance(value, expected):
        got = tf.Tensor if isinstance(value, tf.Tensor) else type(value)
        raise _unfit(key, got.__name__, expected.__name__)
    if value.dtype != info.dtype:
        raise _unfit(key, value.dtype.name, info.dtype.name)
    if not info.get_shape().is_compatible_with(value.shape):
        raise _unfit(key, f"shape {value.shape}", info.get_shape())
    return value


def _unfit(key: str, got: object, expected: object) -> errors.SignatureInputError:
    return errors.SignatureInputError(f"Can't convert {key!r}: Got {got}. Expected {expected}.")


def _from_session_value(value):
    """Turns what Session.run returns for composite tensors back into tensors."""
    if isinstance(value, tf1.SparseTensorValue):
        return tf.SparseTensor.from_value(value)
    if isinstance(value, tf1.ragged.RaggedTensorValue):
        return tf.RaggedTensor.from_nested_row_splits(value.flat_values, value.nested_row_splits)
    return value
