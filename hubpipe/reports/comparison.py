"""What differs between two modules, the older and the newer."""

import dataclasses
import filecmp
import hashlib
import os
from collections.abc import Mapping
from typing import Any

from hubpipe.files import tensor_bundle
from hubpipe.reports import facts, weights

MAX_LINES = 20_000_000  # of a text asset that is compared line by line
SHOWN_LINES = 5


@dataclasses.dataclass(frozen=True)
class VariableChange:
    """A variable that both modules have, and that is not the same.

    Attributes:
        name: of the variable.
        old: dtype and shape before, e.g. "float32 [100, 64]".
        new: dtype and shape after.
        relative: Euclidean norm of the difference over that of the old values; None if it is not defined.
        not_finite: number of new values that are infinite or no number.
    """

    name: str
    old: str
    new: str
    relative: float | None
    not_finite: int


@dataclasses.dataclass(frozen=True)
class Lines:
    """How the lines of a text file changed.

    Attributes:
        old: number of lines before.
        new: number of lines after.
        added: how many are new.
        removed: how many are gone.
        moved: how many are at another line number; the row of an embedding table, for a vocabulary.
        first_added: the first few, in order.
        first_removed: the first few, in order.
    """

    old: int
    new: int
    added: int
    removed: int
    moved: int
    first_added: list[str]
    first_removed: list[str]


@dataclasses.dataclass(frozen=True)
class Asset:
    """An asset that is not the same.

    Attributes:
        name: relative to the assets.
        old: bytes before, None if it was not there.
        new: bytes after, None if it is no longer there.
        lines: what changed in it; None if it is no text, or was not there before or after.
    """

    name: str
    old: int | None
    new: int | None
    lines: Lines | None


@dataclasses.dataclass(frozen=True)
class Pair:
    """A value before and after; None where there is none."""

    old: Any
    new: Any


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What differs.

    Attributes:
        old: path of the one module.
        new: path of the other.
        tag_sets: those that only one of them has: dict "old" and "new" -> tag sets.
        signatures: dict "<tags> <signature> <in or out> <name>" -> dtypes and shapes.
        num_variables: how many the new one has.
        added: variables that only the new one has.
        removed: variables that only the old one has.
        reshaped: variables with another dtype or shape.
        changed: variables with other values, those that changed most first.
        assets: those that are not the same.
        config: dict dotted key -> values, where they differ; None if not both have a manifest with it.
        metrics: dict metric -> values, all of them.
        size: bytes of all files.
    """

    old: str
    new: str
    tag_sets: dict[str, list[tuple[str, ...]]]
    signatures: dict[str, Pair]
    num_variables: int
    added: list[facts.Variable]
    removed: list[facts.Variable]
    reshaped: list[VariableChange]
    changed: list[VariableChange]
    assets: list[Asset]
    config: dict[str, Pair] | None
    metrics: dict[str, Pair]
    size: Pair


def compare(old: facts.Module, new: facts.Module) -> Comparison:
    """Compares two modules on disk.

    Raises:
        FormatError: a file of them is broken.
        OSError: a file cannot be read.
    """
    old_tags, new_tags = ({variant.tags for variant in module.variants} for module in (old, new))
    old_variables, new_variables = ({each.name: each for each in module.variables} for module in (old, new))
    common = [name for name in old_variables if name in new_variables]
    reshaped = [name for name in common if old_variables[name].type != new_variables[name].type]
    return Comparison(
        old=old.path,
        new=new.path,
        tag_sets={"old": sorted(old_tags - new_tags), "new": sorted(new_tags - old_tags)},
        signatures=_differing(_tensors(old), _tensors(new)),
        num_variables=len(new_variables),
        added=[variable for variable in new.variables if variable.name not in old_variables],
        removed=[variable for variable in old.variables if variable.name not in new_variables],
        reshaped=[
            VariableChange(name, old_variables[name].type, new_variables[name].type, None, 0)
            for name in reshaped
        ],
        changed=_changed(old, new, [name for name in common if name not in reshaped], new_variables),
        assets=_assets(old, new),
        config=_config(_manifest(old).get("config"), _manifest(new).get("config")),
        metrics=_pairs(_flat(_manifest(old).get("metrics")), _flat(_manifest(new).get("metrics"))),
        size=Pair(old.size, new.size),
    )


def _changed(
    old: facts.Module, new: facts.Module, names: list[str], variables: Mapping[str, facts.Variable]
) -> list[VariableChange]:
    if not names:
        return []
    bundles = [tensor_bundle.read(os.path.join(module.path, facts.VARIABLES_PREFIX)) for module in (old, new)]
    found = []
    for name in names:
        change = weights.compare(*bundles, name)
        if not change.same:
            shape = variables[name].type
            found.append(VariableChange(name, shape, shape, change.relative, change.not_finite))
    # What cannot be expressed by a number comes first: it needs a look.
    return sorted(found, key=lambda each: (each.relative is not None, -(each.relative or 0.0), each.name))


def _tensors(module: facts.Module) -> dict[str, str]:
    return {
        f"{{{', '.join(variant.tags)}}} {name} {side} {key}": str(tensor)
        for variant in module.variants
        for name, signature in variant.signatures.items()
        for side, tensors in (("in", signature.inputs), ("out", signature.outputs))
        for key, tensor in tensors.items()
    }


def _assets(old: facts.Module, new: facts.Module) -> list[Asset]:
    found = []
    for name in sorted({*old.assets, *new.assets}):
        if name not in old.assets or name not in new.assets:
            found.append(Asset(name, old.assets.get(name), new.assets.get(name), None))
            continue
        paths = [os.path.join(module.path, facts.ASSETS_DIRECTORY, name) for module in (old, new)]
        if not filecmp.cmp(*paths, shallow=False):
            found.append(Asset(name, old.assets[name], new.assets[name], _lines(*paths)))
    return found


def _lines(old_path: str, new_path: str) -> Lines | None:
    """Compares two text files by digests of their lines; None if one is no text."""
    old, new = _line_numbers(old_path), _line_numbers(new_path)
    if old is None or new is None:
        return None
    added, removed = new.keys() - old.keys(), old.keys() - new.keys()
    return Lines(
        old=len(old),
        new=len(new),
        added=len(added),
        removed=len(removed),
        moved=sum(old[line] != number for line, number in new.items() if line in old),
        first_added=_first_lines(new_path, added),
        first_removed=_first_lines(old_path, removed),
    )


def _line_numbers(path: str) -> dict[bytes, int] | None:
    """dict digest of a distinct line -> its first number; None if the file is no text, or too long."""
    numbers: dict[bytes, int] = {}
    try:
        with open(path, encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file):
                if "\0" in line or number == MAX_LINES:
                    return None
                numbers.setdefault(_digest(line), number)
    except UnicodeDecodeError:
        return None
    return numbers


def _first_lines(path: str, wanted: set[bytes]) -> list[str]:
    found = []
    with open(path, encoding="utf-8", newline="\n") as file:
        for line in file:
            if len(found) == min(SHOWN_LINES, len(wanted)):
                break
            if _digest(line) in wanted:
                found.append(line.rstrip("\n"))
    return found


def _digest(line: str) -> bytes:
    return hashlib.blake2b(line.rstrip("\n").encode(), digest_size=12).digest()


def _manifest(module: facts.Module) -> dict[str, Any]:
    return module.manifest or {}


def _config(old: Any, new: Any) -> dict[str, Pair] | None:
    return None if old is None or new is None else _differing(_flat(old), _flat(new))


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """The leaves of nested objects: dict dotted key -> value; empty for anything but an object."""
    if not isinstance(value, dict):
        return {}
    leaves = {}
    for key, inner in value.items():
        if isinstance(inner, dict) and inner:
            leaves.update(_flat(inner, f"{prefix}{key}."))
        else:
            leaves[f"{prefix}{key}"] = inner
    return leaves


def _pairs(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Pair]:
    return {key: Pair(old.get(key), new.get(key)) for key in sorted({*old, *new})}


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Pair]:
    return {key: pair for key, pair in _pairs(old, new).items() if pair.old != pair.new}
