"""The interfaces of the graphs in a saved_model.pb, read without TensorFlow; the graphs themselves are skipped.

Source: saved_model.proto and meta_graph.proto in tensorflow/core/protobuf; tensor_shape.proto in
tensorflow/core/framework; variable.proto there.
"""

import dataclasses
from collections.abc import Iterable

from hubpipe.files import bundle_entry, wire

_SAVED_MODEL = {2: ("meta_graphs", wire.BYTES)}
_META_GRAPH = {
    1: ("info", wire.BYTES),
    4: ("collections", wire.BYTES),
    5: ("signatures", wire.BYTES),
}
_INFO = {4: ("tags", wire.BYTES), 5: ("tensorflow_version", wire.BYTES)}
_MAP_ENTRY = {1: ("key", wire.BYTES), 2: ("value", wire.BYTES)}
_COLLECTION = {1: ("names", wire.BYTES), 2: ("messages", wire.BYTES)}
_VALUES = {1: ("values", wire.BYTES)}
_SIGNATURE = {1: ("inputs", wire.BYTES), 2: ("outputs", wire.BYTES)}
_TENSOR = {
    2: ("dtype", wire.VARINT),
    3: ("shape", wire.BYTES),
    4: ("sparse", wire.BYTES),
    5: ("composite", wire.BYTES),
}
_COMPOSITE = {2: ("components", wire.BYTES)}
_SHAPE = {2: ("dims", wire.BYTES), 3: ("unknown_rank", wire.VARINT)}
_DIM = {1: ("size", wire.VARINT)}
_VARIABLE = {1: ("name", wire.BYTES), 4: ("slice", wire.BYTES)}
_SLICE = {1: ("full_name", wire.BYTES)}
_ATTACHMENT = {1: ("key", wire.BYTES)}
_REFERENCES = 100  # a dtype of references to another has its number and this


@dataclasses.dataclass(frozen=True)
class Tensor:
    """An input or output of a signature.

    Attributes:
        kind: dense, sparse or composite, such as ragged.
        dtype: e.g. "float32"; that of the first component of a composite tensor.
        shape: sizes, None for one that is not known; None if the rank is not known.
    """

    kind: str
    dtype: str
    shape: tuple[int | None, ...] | None

    def __str__(self) -> str:
        shape = "[...]" if self.shape is None else str(["?" if size is None else size for size in self.shape])
        kind = "" if self.kind == "dense" else f"{self.kind} "
        return f"{kind}{self.dtype} {shape}".replace("'", "")


@dataclasses.dataclass(frozen=True)
class Signature:
    """One signature: dicts name -> Tensor, sorted by name."""

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


@dataclasses.dataclass(frozen=True)
class Variant:
    """The interface of one graph variant.

    Attributes:
        tags: sorted.
        tensorflow: version that wrote it, "" if it does not say.
        signatures: dict name -> Signature, sorted by name.
        regularization_losses: how many.
        update_ops: how many.
        variables: names of all variables, sorted.
        trainable: names of the trainable variables, sorted.
        attachments: keys of the attached messages, sorted.
    """

    tags: tuple[str, ...]
    tensorflow: str
    signatures: dict[str, Signature]
    regularization_losses: int
    update_ops: int
    variables: tuple[str, ...]
    trainable: tuple[str, ...]
    attachments: tuple[str, ...]


def decode(saved_model: bytes, where: str) -> list[Variant]:
    """Reads the interfaces.

    Args:
        saved_model: content of saved_model.pb.
        where: the file, for messages.
    Returns:
        list of Variant, in the order of their tags.
    Raises:
        FormatError: truncated or malformed.
    """
    fields = wire.decode_message(memoryview(saved_model), _SAVED_MODEL, where)
    variants = [_decode_variant(meta_graph, where) for meta_graph in fields.get("meta_graphs", [])]
    return sorted(variants, key=lambda variant: variant.tags)


def _decode_variant(data: bytes, where: str) -> Variant:
    fields = wire.decode_message(data, _META_GRAPH, where)
    info = _joined(fields, "info", _INFO, f"{where}: meta_info_def")
    collections = _decode_map(fields.get("collections", []), f"{where}: collection_def")
    collections = {
        name: wire.decode_message(value, _COLLECTION, f"{where}: collection {name}")
        for name, value in collections.items()
    }
    signatures = _decode_map(fields.get("signatures", []), f"{where}: signature_def")

    def values(name: str, kind: str) -> list:
        lists = collections.get(name, {}).get(kind, [])
        return [
            value
            for encoded in lists
            for value in wire.decode_message(encoded, _VALUES, f"{where}: collection {name}").get("values", [])
        ]

    return Variant(
        tags=tuple(sorted(map(_text, info.get("tags", [])))),
        tensorflow=_text(info.get("tensorflow_version", [b""])[-1]),
        signatures={
            name: _decode_signature(value, f"{where}: signature {name}") for name, value in signatures.items()
        },
        regularization_losses=len(values("regularization_losses", "names")),
        update_ops=len(values("update_ops", "names")),
        variables=_variable_names(values("variables", "messages"), where),
        trainable=_variable_names(values("trainable_variables", "messages"), where),
        attachments=_keys(values("hub_module_attachments", "messages"), where),
    )


def _variable_names(messages: Iterable[bytes], where: str) -> tuple[str, ...]:
    """Names as the variables' file has them; the parts of a partitioned one share one name."""
    names = set()
    for message in messages:
        fields = wire.decode_message(message, _VARIABLE, f"{where}: trainable_variables")
        part = _joined(fields, "slice", _SLICE, f"{where}: trainable_variables")
        name = _text(part["full_name"][-1]) if "full_name" in part else _text(fields.get("name", [b""])[-1])
        names.add(name.partition(":")[0])
    return tuple(sorted(names))


def _keys(messages: Iterable[bytes], where: str) -> tuple[str, ...]:
    decoded = (wire.decode_message(message, _ATTACHMENT, f"{where}: attachments") for message in messages)
    return tuple(sorted(_text(fields.get("key", [b""])[-1]) for fields in decoded))


def _decode_signature(data: bytes, where: str) -> Signature:
    fields = wire.decode_message(data, _SIGNATURE, where)
    inputs, outputs = (_decode_map(fields.get(side, []), where) for side in ("inputs", "outputs"))
    return Signature(
        {name: _decode_tensor(value, where) for name, value in inputs.items()},
        {name: _decode_tensor(value, where) for name, value in outputs.items()},
    )


def _decode_tensor(data: bytes, where: str) -> Tensor:
    fields = wire.decode_message(data, _TENSOR, where)
    if "composite" in fields:
        components = _joined(fields, "composite", _COMPOSITE, where).get("components", [])
        first = _decode_tensor(components[0], where) if components else None
        return Tensor("composite", first.dtype if first else "unknown", None)
    kind = "sparse" if "sparse" in fields else "dense"
    shape = _joined(fields, "shape", _SHAPE, where)
    if shape.get("unknown_rank", [0])[-1]:
        return Tensor(kind, _dtype_name(fields), None)
    sizes = (
        wire.signed(wire.decode_message(dim, _DIM, where).get("size", [0])[-1]) for dim in shape.get("dims", [])
    )
    return Tensor(kind, _dtype_name(fields), tuple(size if size >= 0 else None for size in sizes))


def _dtype_name(fields: dict[str, list]) -> str:
    number = fields.get("dtype", [0])[-1]
    try:
        return bundle_entry.Entry(number % _REFERENCES, ()).dtype_name
    except KeyError:
        return f"dtype {number}"


def _joined(fields: dict[str, list], name: str, schema: wire.Schema, where: str) -> dict[str, list]:
    """A message in a field that is there once; more of it are one message, as for protocol buffers."""
    return wire.decode_message(b"".join(fields.get(name, [])), schema, where)


def _decode_map(entries: Iterable[bytes], where: str) -> dict[str, bytes]:
    """A map with string keys, sorted by key; of equal keys the last counts."""
    decoded = {}
    for entry in entries:
        fields = wire.decode_message(entry, _MAP_ENTRY, where)
        decoded[_text(fields.get("key", [b""])[-1])] = fields.get("value", [b""])[-1]
    return {key: decoded[key] for key in sorted(decoded)}


def _text(value: bytes) -> str:
    return bytes(value).decode(errors="backslashreplace")
