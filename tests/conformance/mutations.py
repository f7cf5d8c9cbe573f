"""Random changes to the files of a module: of bytes, and of what the bytes mean."""

import os
import random
from collections.abc import Iterator

from google.protobuf import descriptor, message
from tensorflow.core.framework import variable_pb2
from tensorflow.core.protobuf import control_flow_pb2, saved_model_pb2, tensor_bundle_pb2

from hubpipe.files import sstable
from hubpipe.hub import format

INDEX_FILE = os.path.join(format.VARIABLES_DIRECTORY, format.VARIABLES_PREFIX + ".index")
_FILES = {format.SAVED_MODEL_FILE: 14, INDEX_FILE: 4, format.MODULE_FILE: 1}  # file -> how often to change it
_CHANGES = (1, 1, 1, 2, 4)  # how many at once, drawn from

_INTEGERS = (0, 1, 2, 3, 7, 19, 20, 21, 100, 101, 107, 255, 256, 65536, 1 << 31, 1 << 40, 1 << 62)
_STRINGS = ("", "^", ":", ":0", "a:0:1", "^x", "../x", "/", "_", "é", "\0", "x" * 300, "gone", "loc:@gone")
_ELEMENTS = {
    "variables": variable_pb2.VariableDef,
    "trainable_variables": variable_pb2.VariableDef,
    "model_variables": variable_pb2.VariableDef,
    "cond_context": control_flow_pb2.CondContextDef,
    "while_context": control_flow_pb2.WhileContextDef,
    format.ATTACHMENTS_COLLECTION: format.ModuleAttachment,
}
_FIELD = descriptor.FieldDescriptor
_SIGNED = (_FIELD.CPPTYPE_INT32, _FIELD.CPPTYPE_INT64)
_BITS = {_FIELD.CPPTYPE_INT32: 31, _FIELD.CPPTYPE_INT64: 63, _FIELD.CPPTYPE_UINT32: 32, _FIELD.CPPTYPE_UINT64: 64}


def mutate_module(module_dir: str, rng: random.Random) -> str:
    """Changes one file of a module.

    Args:
        module_dir: the module, a sound one.
        rng: decides what to change; the same state gives the same change.
    Returns:
        What was done, e.g. "saved_model.pb fields".
    """
    (name,) = rng.choices(list(_FILES), _FILES.values())
    path = os.path.join(module_dir, name)
    if not os.path.exists(path):  # a module without variables has no index
        name = format.SAVED_MODEL_FILE
        path = os.path.join(module_dir, name)
    with open(path, "rb") as file:
        data = file.read()
    by_meaning = {format.SAVED_MODEL_FILE: _mutate_saved_model, INDEX_FILE: _mutate_index}
    if name in by_meaning and rng.random() < 0.75:
        changed, how = by_meaning[name](data, rng), "fields"
    else:
        changed, how = mutate_bytes(data, rng), "bytes"
    with open(path, "wb") as file:
        file.write(changed)
    return f"{name} {how}"


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """Flips bits, cuts off, inserts, removes and copies at random places."""
    changed = bytearray(data)
    for _ in range(rng.choice(_CHANGES)):
        start = rng.randrange(len(changed) + 1)
        end = min(len(changed), start + rng.choice((1, 2, 8, 64, 512)))
        how = rng.randrange(6)
        if how <= 1 and start < len(changed):
            changed[start] ^= 1 << rng.randrange(8)
        elif how == 2:
            changed[start:start] = rng.randbytes(rng.choice((1, 2, 8, 64)))
        elif how == 3:
            del changed[start:end]
        elif how == 4:
            other = rng.randrange(len(changed) + 1)
            changed[other:other] = changed[start:end]
        elif how == 5 and rng.random() < 0.3:
            del changed[start:]
    return bytes(changed)


def mutate_message(proto: message.Message, rng: random.Random) -> None:
    """Changes fields of a message, or of the messages in it, at random places."""
    strings = [value for _, _, value in _fields(proto) if isinstance(value, str)]
    for _ in range(rng.choice(_CHANGES)):
        if rng.random() < 0.5:
            places = list(_fields(proto))
            if places:
                owner, field, _ = rng.choice(places)
                _mutate_field(owner, field, rng, strings)
        else:
            owner = _descend(proto, rng)
            _mutate_field(owner, rng.choice(owner.DESCRIPTOR.fields), rng, strings)


def _mutate_saved_model(data: bytes, rng: random.Random) -> bytes:
    saved_model = saved_model_pb2.SavedModel.FromString(data)
    where = rng.random()
    if where < 0.2:
        mutate_message(saved_model, rng)
    elif where < 0.45:
        _mutate_collection(rng.choice(saved_model.meta_graphs), rng)
    elif where < 0.6:
        mutate_message(rng.choice(list(rng.choice(saved_model.meta_graphs).signature_def.values())), rng)
    else:
        _mutate_graph(rng.choice(saved_model.meta_graphs).graph_def, rng)
    return saved_model.SerializeToString(deterministic=True)


def _mutate_graph(graph_def, rng: random.Random) -> None:
    """Changes nodes: their attributes, or their inputs to other tensors of the graph."""
    nodes = list(graph_def.node) + [node for function in graph_def.library.function for node in function.node_def]
    strings = [node.name for node in nodes]
    for _ in range(rng.choice(_CHANGES)):
        node = rng.choice(nodes)
        if node.input and rng.random() < 0.3:
            name = rng.choice(strings)
            node.input[rng.randrange(len(node.input))] = rng.choice((name, f"{name}:1", f"^{name}"))
        elif node.attr and rng.random() < 0.8:
            mutate_message(node.attr[rng.choice(sorted(node.attr))], rng)
        else:
            mutate_message(node, rng)


def _mutate_collection(meta_graph, rng: random.Random) -> None:
    name = rng.choice(sorted(meta_graph.collection_def) or ["variables"])
    collection = meta_graph.collection_def[name]
    values = collection.bytes_list.value
    if name in _ELEMENTS and values and rng.random() < 0.8:
        index = rng.randrange(len(values))
        element = _ELEMENTS[name].FromString(values[index])
        mutate_message(element, rng)
        values[index] = element.SerializeToString()
    else:
        mutate_message(collection, rng)


def _mutate_index(data: bytes, rng: random.Random) -> bytes:
    """Changes the entries of a tensor bundle's index, and writes it with the right checksums."""
    items = dict(sstable.decode(data, INDEX_FILE))
    for _ in range(rng.choice(_CHANGES)):
        key = rng.choice(sorted(items) or [b""])
        how = rng.randrange(8)
        if how == 0:
            items.pop(key, None)
        elif how == 1:
            items[mutate_bytes(key, rng)] = items.get(key, b"")
        elif how == 2:
            items[key] = mutate_bytes(items.get(key, b""), rng)
        else:
            kind = tensor_bundle_pb2.BundleEntryProto if key else tensor_bundle_pb2.BundleHeaderProto
            try:
                proto = kind.FromString(items.get(key, b""))
            except message.DecodeError:
                continue
            mutate_message(proto, rng)
            items[key] = proto.SerializeToString()
    return sstable.encode(items)


def _is_map(field: descriptor.FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _fields(proto: message.Message) -> Iterator[tuple[message.Message, descriptor.FieldDescriptor, object]]:
    """(owner, field, one of its values) of all that is set in a message and in those in it."""
    for field, value in proto.ListFields():
        if _is_map(field):
            values = [value[key] for key in sorted(value)]
        elif isinstance(value, (str, bytes, int, float, message.Message)):
            values = [value]
        else:
            values = list(value)
        for one in values:
            yield proto, field, one
            if isinstance(one, message.Message):
                yield from _fields(one)


def _descend(proto: message.Message, rng: random.Random) -> message.Message:
    """A message in the message, each level as likely as the next."""
    while rng.random() < 0.8:
        inner = [value for owner, _, value in _shallow(proto) if isinstance(value, message.Message)]
        if not inner:
            break
        proto = rng.choice(inner)
    return proto


def _shallow(proto: message.Message) -> Iterator[tuple[message.Message, descriptor.FieldDescriptor, object]]:
    return ((owner, field, value) for owner, field, value in _fields(proto) if owner is proto)


def _mutate_field(
    owner: message.Message, field: descriptor.FieldDescriptor, rng: random.Random, strings: list[str]
) -> None:
    try:
        value = getattr(owner, field.name)
        if _is_map(field):
            _mutate_map(value, field, rng, strings)
        elif not isinstance(value, (str, bytes, int, float, message.Message)):
            _mutate_repeated(value, field, rng, strings)
        elif rng.random() < 0.2:
            owner.ClearField(field.name)
        elif field.message_type is not None:
            value.SetInParent()
        else:
            setattr(owner, field.name, _scalar(field, value, rng, strings))
    except (UnicodeError, ValueError):  # a value that the field cannot have
        pass


def _mutate_map(values, field: descriptor.FieldDescriptor, rng: random.Random, strings: list[str]) -> None:
    keys = sorted(values)
    if not keys:
        return
    key, how = rng.choice(keys), rng.randrange(3)
    value_field = field.message_type.fields_by_name["value"]
    new_key = rng.choice((rng.choice(keys), *_STRINGS)) if isinstance(key, str) else rng.choice(_INTEGERS)
    if how == 0:
        del values[key]
    elif value_field.message_type is not None:
        values[new_key].CopyFrom(values[key])
    elif how == 1:
        values[new_key] = values[key]
    else:
        values[key] = _scalar(value_field, values[key], rng, strings)


def _mutate_repeated(values, field: descriptor.FieldDescriptor, rng: random.Random, strings: list[str]) -> None:
    how = rng.randrange(4)
    if how == 0 and values:
        del values[rng.randrange(len(values))]
    elif field.message_type is not None:
        added = values.add()
        if values and how == 1:
            added.CopyFrom(values[rng.randrange(len(values))])
    elif values and how == 1:
        values[rng.randrange(len(values))] = _scalar(field, values[0], rng, strings)
    elif values and how == 2:
        values.append(values[rng.randrange(len(values))])
    else:
        values.append(_scalar(field, None, rng, strings))


def _scalar(field: descriptor.FieldDescriptor, value, rng: random.Random, strings: list[str]):
    """Another value of a field; its value is None if it has none."""
    if field.cpp_type == _FIELD.CPPTYPE_STRING:
        if field.type == _FIELD.TYPE_BYTES:
            changed = mutate_bytes(value or b"", rng)
            return rng.choice((changed, changed, rng.choice(_STRINGS).encode()))
        near = (value or "") + rng.choice(("0", ":1", "/"))
        return rng.choice((*_STRINGS, *rng.choices(strings or [""], k=10), near))
    if field.cpp_type == _FIELD.CPPTYPE_BOOL:
        return not value
    if field.cpp_type in (_FIELD.CPPTYPE_FLOAT, _FIELD.CPPTYPE_DOUBLE):
        return rng.choice((0.0, -1.0, 1e30, float("nan"), float("inf")))
    if field.cpp_type == _FIELD.CPPTYPE_ENUM:
        return rng.choice((*(number.number for number in field.enum_type.values), 99, 1000))
    value = value or 0
    number = rng.choice((*_INTEGERS, value + 1, value - 1, rng.getrandbits(8)))
    if field.cpp_type in _SIGNED and rng.random() < 0.3:
        number = -number
    bits = _BITS[field.cpp_type]
    lowest = -(1 << bits) if field.cpp_type in _SIGNED else 0
    return min(max(number, lowest), (1 << bits) - 1)


