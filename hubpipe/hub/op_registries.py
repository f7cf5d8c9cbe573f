"""The ops and attributes that released versions of TensorFlow know; scripts/op_registries makes the file."""

import dataclasses
import functools
import gzip
import json
import os
from collections.abc import Iterable, Mapping

PATH = os.path.join(os.path.dirname(__file__), "op_registries.json.gz")


@dataclasses.dataclass(frozen=True)
class Attribute:
    """What an op demands of one of its attributes.

    Attributes:
        is_required: there is no default.
        allowed: the dtypes (numbers of the DataType enum) or strings it may have, sorted; None for any.
        minimum: the smallest number, or length of a list; None for any.
    """

    is_required: bool
    allowed: tuple[int | str, ...] | None = None
    minimum: int | None = None


@dataclasses.dataclass(frozen=True)
class Registry:
    """What one version of TensorFlow knows.

    Attributes:
        version: e.g. "1.15".
        last_dtype: the largest number of its DataType enum, references aside.
        ops: dict op -> dict name -> Attribute, without TensorFlow's internal ops, whose names start with "_".
    """

    version: str
    last_dtype: int
    ops: Mapping[str, Mapping[str, Attribute]]


@functools.cache
def load() -> tuple[Registry, ...]:
    """The registries of the supported readers, the oldest version first."""
    with gzip.open(PATH, "rb") as file:
        contents = json.load(file)
    tables = [{} for _ in contents["versions"]]
    for op, changes in contents["ops"].items():
        ends = [first for first, _ in changes[1:]] + [len(tables)]
        for (first, encoded), end in zip(changes, ends, strict=True):
            if encoded is not None:
                attributes = {name: _decode(*fields) for name, fields in encoded.items()}
                for table in tables[first:end]:
                    table[op] = attributes
    pairs = zip(contents["versions"], tables, strict=True)
    return tuple(Registry(version, last_dtype, ops) for (version, last_dtype), ops in pairs)


def save(registries: Iterable[Registry]) -> int:
    """Writes the file: for each op the versions at which it changed, and its attributes from then on.

    Args:
        registries: of any order.
    Returns:
        The size of the file in bytes.
    """
    ordered = sorted(registries, key=lambda registry: [int(part) for part in registry.version.split(".")])
    ops = {}
    for name in sorted({name for registry in ordered for name in registry.ops}):
        changes, before = [], None
        for index, registry in enumerate(ordered):
            known = registry.ops.get(name)
            encoded = None if known is None else {key: _encode(known[key]) for key in sorted(known)}
            if encoded != before:
                changes.append([index, encoded])
            before = encoded
        ops[name] = changes
    contents = {"versions": [[registry.version, registry.last_dtype] for registry in ordered], "ops": ops}
    data = gzip.compress(json.dumps(contents, separators=(",", ":")).encode(), mtime=0)
    with open(PATH, "wb") as file:
        file.write(data)
    return len(data)


def _encode(attribute: Attribute) -> list:
    """The fields of an Attribute in order, without those at the end that have their default."""
    fields = [int(attribute.is_required), attribute.allowed and list(attribute.allowed), attribute.minimum]
    while len(fields) > 1 and fields[-1] is None:
        fields.pop()
    return fields


def _decode(is_required: int, allowed: list | None = None, minimum: int | None = None) -> Attribute:
    return Attribute(bool(is_required), None if allowed is None else tuple(allowed), minimum)
