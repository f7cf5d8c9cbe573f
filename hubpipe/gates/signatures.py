"""Can those who use the current version use the candidate as they do now? Their signatures, side by side.

What a caller may rely on: graph variants, signatures, names of inputs and outputs with dtype and kind, that an
input takes every shape that it took, that an output has at least the static shape that it had, assets and attached
messages. What comes on top breaks nobody, but for an input: a caller must give all of them.

Source: "TF1 Hub format" of the TensorFlow Hub documentation, Applying a module.
"""

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping

import tensorflow as tf

from hubpipe import errors
from hubpipe.files import digest, paths
from hubpipe.gates import result
from hubpipe.hub import format, read
from hubpipe.hub import signature as signature_lib

GATE = "signatures"

Shape = tuple[int | None, ...] | None  # None: not even the rank is known
Tags = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One input or output.

    Attributes:
        dtype: e.g. "float32".
        kind: "dense", "sparse", or what a ragged or other composite tensor is, e.g. "ragged of rank 1".
        shape: the static shape.
    """

    dtype: str
    kind: str
    shape: Shape


@dataclasses.dataclass(frozen=True)
class Signature:
    """Inputs and outputs by name."""

    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]


@dataclasses.dataclass(frozen=True)
class Interface:
    """What callers of a module see.

    Attributes:
        variants: dict sorted tags -> dict name -> Signature.
        assets: dict file name -> SHA-256 of the content, None where it is not known.
        messages: keys of the attached messages.
    """

    variants: Mapping[Tags, Mapping[str, Signature]]
    assets: Mapping[str, str | None]
    messages: frozenset[str]


def check(module_dir: str, current_dir: str | None, *, allow_breaking: bool = False) -> result.Result:
    """Compares a candidate with the current version.

    Args:
        module_dir: the candidate.
        current_dir: the current version; None if there is none, which lets everything pass.
        allow_breaking: record what would break callers, and let it pass.
    Returns:
        The gate's answer.
    """
    problems, interfaces = [], []
    for directory in filter(None, (module_dir, current_dir)):
        try:
            interfaces.append(load(directory))
        except errors.HubpipeError as error:
            problems.append(str(error))
    if problems:
        return result.Result(GATE, problems)
    if current_dir is None:
        return result.Result(GATE, notes=["there is no version to compare with"])
    return compare(*interfaces, allow_breaking=allow_breaking)


def load(module_dir: str) -> Interface:
    """Reads the interface of a module.

    Raises:
        FormatError, HandleError: as load_module_spec.
    """
    with result.blamed(f"{module_dir}: its signatures cannot be read"):
        spec = read.load_module_spec(module_dir)
        variants = {tuple(sorted(tags)): spec.variant(tags) for tags in spec.get_tags()}
        return Interface(
            {
                tags: {
                    name: Signature(_tensors(variant.inputs(name)), _tensors(variant.outputs(name)))
                    for name in variant.signature_names
                }
                for tags, variant in variants.items()
            },
            _assets(module_dir),
            frozenset(
                format.ModuleAttachment.FromString(message).key
                for variant in variants.values()
                for message in variant.serialized(format.ATTACHMENTS_COLLECTION)
            ),
        )


def _tensors(infos: Mapping[str, signature_lib.ParsedTensorInfo]) -> dict[str, Tensor]:
    return {
        name: Tensor(info.dtype.name, _kind(info), _shape(info.get_shape())) for name, info in infos.items()
    }


def _kind(info: signature_lib.ParsedTensorInfo) -> str:
    if info.is_sparse:
        return "sparse"
    if isinstance(info.type_spec, tf.RaggedTensorSpec):
        spec = info.type_spec
        return f"ragged of rank {spec.ragged_rank} with {spec.row_splits_dtype.name} row splits"
    return type(info.type_spec).__name__ if info.is_composite else "dense"


def _shape(shape: tf.TensorShape) -> Shape:
    return None if shape.rank is None else tuple(shape.as_list())


def _assets(module_dir: str) -> dict[str, str | None]:
    directory = os.path.join(module_dir, format.ASSETS_DIRECTORY)
    if not tf.io.gfile.isdir(directory):
        return {}
    local = paths.local(directory)
    return {
        name: digest.sha256_file(os.path.join(local, name)) if local is not None else None
        for name in sorted(tf.io.gfile.listdir(directory))
    }


def compare(candidate: Interface, current: Interface, *, allow_breaking: bool = False) -> result.Result:
    """Compares two interfaces.

    Args:
        candidate: of the module that is to take the place of the other.
        current: of that.
        allow_breaking: what would break callers becomes a note.
    Returns:
        The gate's answer; its numbers are `compared`, how many signatures, and `breaking`, how many changes.
    """
    breaking = list(_breaking(candidate, current))
    notes = list(_new(candidate, current))
    compared = sum(map(len, current.variants.values()))
    confirmed = [] if breaking else [f"signatures: {compared}, callers of all can go on"]
    numbers = {"compared": compared, "breaking": len(breaking), "allowed": bool(breaking) and allow_breaking}
    if allow_breaking:
        return result.Result(GATE, [], [f"breaks callers, allowed: {line}" for line in breaking] + notes, numbers)
    return result.Result(GATE, breaking, notes, numbers, confirmed)


def _breaking(candidate: Interface, current: Interface) -> Iterator[str]:
    for tags, signatures in current.variants.items():
        where = _variant(tags)
        if tags not in candidate.variants:
            yield f"{where} is gone; there are {', '.join(map(_variant, candidate.variants))}"
            continue
        for name, before in signatures.items():
            after = candidate.variants[tags].get(name)
            if after is None:
                yield f"{where}: signature {name!r} is gone; there are {sorted(candidate.variants[tags])!r}"
                continue
            place = f"{where}: signature {name!r}"
            yield from (f"{place}: input {line}" for line in _changed_inputs(after.inputs, before.inputs))
            yield from (f"{place}: output {line}" for line in _changed_outputs(after.outputs, before.outputs))
    yield from _lost_assets(candidate.assets, current.assets)
    for key in sorted(current.messages - candidate.messages):
        yield f"attached message {key!r} is gone"


def _changed_inputs(after: Mapping[str, Tensor], before: Mapping[str, Tensor]) -> Iterator[str]:
    for name in sorted(before.keys() - after.keys()):
        yield f"{name!r} is gone"
    for name in sorted(after.keys() - before.keys()):
        yield f"{name!r} is new; callers who do not give it fail"
    for name, old, new in _both(before, after):
        yield from (f"{name!r}: {line}" for line in _changed_type(new, old))
        if not _covers(new.shape, old.shape):
            yield f"{name!r}: shape {_text(old.shape)} became the narrower {_text(new.shape)}"


def _changed_outputs(after: Mapping[str, Tensor], before: Mapping[str, Tensor]) -> Iterator[str]:
    for name in sorted(before.keys() - after.keys()):
        yield f"{name!r} is gone"
    for name, old, new in _both(before, after):
        yield from (f"{name!r}: {line}" for line in _changed_type(new, old))
        if _covers(old.shape, new.shape):
            continue
        if old.shape and new.shape and len(old.shape) == len(new.shape) and old.shape[:-1] == new.shape[:-1]:
            yield f"{name!r}: width {_size(old.shape[-1])} became {_size(new.shape[-1])}"
        else:
            yield f"{name!r}: shape {_text(old.shape)} became {_text(new.shape)}"


def _both(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> Iterable[tuple[str, Tensor, Tensor]]:
    return ((name, before[name], after[name]) for name in sorted(before.keys() & after.keys()))


def _changed_type(new: Tensor, old: Tensor) -> Iterator[str]:
    if new.dtype != old.dtype:
        yield f"{old.dtype} became {new.dtype}"
    if new.kind != old.kind:
        yield f"{old.kind} became {new.kind}"


def _covers(wide: Shape, narrow: Shape) -> bool:
    """Whether every tensor of the one static shape has the other, too."""
    if wide is None:
        return True
    if narrow is None or len(wide) != len(narrow):
        return False
    return all(size is None or size == other for size, other in zip(wide, narrow, strict=True))


def _lost_assets(after: Mapping[str, str | None], before: Mapping[str, str | None]) -> Iterator[str]:
    added = {after[name]: name for name in sorted(after.keys() - before.keys(), reverse=True) if after[name]}
    for name in sorted(before.keys() - after.keys()):
        renamed = added.get(before[name])
        yield f"asset {name!r} is called {renamed!r}" if renamed else f"asset {name!r} is gone"


def _new(candidate: Interface, current: Interface) -> Iterator[str]:
    for tags, signatures in candidate.variants.items():
        if tags not in current.variants:
            yield f"{_variant(tags)} is new"
            continue
        before = current.variants[tags]
        for name, signature in signatures.items():
            if name not in before:
                yield f"{_variant(tags)}: signature {name!r} is new"
                continue
            for output in sorted(signature.outputs.keys() - before[name].outputs.keys()):
                yield f"{_variant(tags)}: signature {name!r}: output {output!r} is new"
    changed = [name for name, content in candidate.assets.items() if current.assets.get(name, content) != content]
    if changed:
        yield f"assets with other contents: {', '.join(sorted(changed))}"


def _variant(tags: Tags) -> str:
    return f"tags={list(tags)!r}"


def _text(shape: Shape) -> str:
    return "of any rank" if shape is None else f"[{', '.join(map(_size, shape))}]"


def _size(size: int | None) -> str:
    return "?" if size is None else str(size)
