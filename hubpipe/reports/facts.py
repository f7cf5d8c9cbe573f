"""What is in a module, a module's folder and a store: read from disk in milliseconds, without TensorFlow."""

import dataclasses
import datetime
import os
from collections.abc import Sequence
from typing import Any

from hubpipe import errors
from hubpipe.files import tensor_bundle, wire
from hubpipe.reports import meta_graphs
from hubpipe.store import current, folder, manifest, store

MODULE_FILE = "tfhub_module.pb"
SAVED_MODEL_FILE = "saved_model.pb"
ASSETS_DIRECTORY = "assets"
VARIABLES_PREFIX = os.path.join("variables", "variables")

_TWIN_DIRECTORY = "tf2"
_FORMAT_V3 = 3
_MODULE = {1: ("format", wire.VARINT), 2: ("required_features", wire.BYTES)}
_MAX_MODULE_FILE_BYTES = 1 << 16
_MAX_SAVED_MODEL_BYTES = (1 << 31) - 1  # no protocol buffer can have more
_MAX_PARENTS = 20


@dataclasses.dataclass(frozen=True)
class Variable:
    """One variable.

    Attributes:
        name: relative to the module.
        dtype: e.g. "float32".
        shape: the full shape.
        size: bytes.
        trainable: whether it is in a graph variant.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int
    trainable: bool

    @property
    def type(self) -> str:
        """Its dtype and shape, e.g. "float32 [100, 64]"."""
        return f"{self.dtype} {list(self.shape)}"


@dataclasses.dataclass(frozen=True)
class Past:
    """A version that led to a module, or the module's own."""

    version: int
    step: int | None
    metrics: dict[str, float | None]


@dataclasses.dataclass(frozen=True)
class Module:
    """One module.

    Attributes:
        path: its directory.
        size: bytes of all files.
        variants: interfaces of the graph variants.
        variables: sorted by name.
        assets: dict relative name -> bytes.
        has_twin: whether it carries a TF2 reusable SavedModel.
        manifest: as hubpipe wrote it; None if it did not.
        history: the module's version and its parents that are in the same folder, the newest first.
    """

    path: str
    size: int
    variants: list[meta_graphs.Variant]
    variables: list[Variable]
    assets: dict[str, int]
    has_twin: bool
    manifest: dict[str, Any] | None
    history: list[Past]


@dataclasses.dataclass(frozen=True)
class Version:
    """One line of a module's folder.

    Attributes:
        number: of the version.
        step: of the training; None if the manifest does not tell.
        metric: name of the metric that the run selected by; None if the manifest does not tell.
        value: of the metric.
        size: bytes of all files; None if the manifest does not tell.
        created: UTC, ISO 8601; None if the manifest does not tell.
        marks: of current, best, pinned, yanked, leased, deleting.
        problem: what is wrong with the manifest; None if nothing is.
    """

    number: int
    step: int | None
    metric: str | None
    value: float | None
    size: int | None
    created: str | None
    marks: tuple[str, ...]
    problem: str | None


@dataclasses.dataclass(frozen=True)
class Versions:
    """A module's folder in a store.

    Attributes:
        path: the folder.
        name: of the module.
        current: number of the version that consumers should take, or None.
        versions: the newest first.
        history: moves, the newest first.
    """

    path: str
    name: str
    current: int | None
    versions: list[Version]
    history: list[current.Move]


@dataclasses.dataclass(frozen=True)
class Store:
    """A store: its modules, sorted by name."""

    path: str
    modules: list[Versions]


def read(path: str) -> Module | Versions | Store:
    """Reads what is at a path: a module's directory, a module's folder in a store, or a store.

    Raises:
        HandleError: nothing is there, or nothing that hubpipe knows.
        FormatError: it is broken.
        OSError: it cannot be read.
    """
    path = os.path.normpath(path)
    if not os.path.isdir(path):
        raise errors.HandleError(f"{path}: no such directory; give a module, a module's versions, or a store.")
    names = os.listdir(path)
    if MODULE_FILE in names or SAVED_MODEL_FILE in names:
        return read_module(path)
    if current.FILE_NAME in names or any(map(folder.is_version_name, names)):
        return read_versions(path)
    if store.module_names(path):
        return Store(path, [read_versions(os.path.join(path, name)) for name in store.module_names(path)])
    raise errors.HandleError(
        f"{path}: neither a module ({MODULE_FILE}), nor a module's versions (1, 2, ... or {current.FILE_NAME}), "
        "nor a store of such."
    )


def read_module(path: str) -> Module:
    """Reads a module; of its graphs only the interface, of its weights only the index.

    Args:
        path: its directory, local.
    Raises:
        NotAModuleError: it is no module.
        FormatError: it is broken.
        OSError: it cannot be read.
    """
    _check_format(os.path.join(path, MODULE_FILE))
    saved_model = os.path.join(path, SAVED_MODEL_FILE)
    variants = meta_graphs.decode(_read(saved_model, _MAX_SAVED_MODEL_BYTES), saved_model)
    if not variants:
        raise errors.FormatError(f"{saved_model}: holds no graph; a module has one or more.")
    try:
        contents = manifest.read(path)
    except errors.StoreError:  # written by another tool
        contents = None
    return Module(
        path=path,
        size=sum(_sizes(path).values()),
        variants=variants,
        variables=_variables(path, variants),
        assets=_sizes(os.path.join(path, ASSETS_DIRECTORY)),
        has_twin=os.path.exists(os.path.join(path, _TWIN_DIRECTORY, SAVED_MODEL_FILE)),
        manifest=contents,
        history=_history(path, contents) if contents else [],
    )


def read_versions(path: str) -> Versions:
    """Reads a module's folder in a store.

    Raises:
        UnknownVersionError: its name cannot be a module's.
        FormatError: current.json is broken.
    """
    root, name = os.path.split(os.path.abspath(path))
    versions = store.Store(root, name)
    record, leased, best = versions.record(), versions.leased(), versions.best_of_runs()
    marks = {
        "current": {record.current},
        "best": best,
        "pinned": set(record.pinned),
        "yanked": set(record.yanked),
        "leased": set(leased),
        "deleting": set(record.deleting),
    }
    rows = [
        _row(version, tuple(mark for mark, numbers in marks.items() if version.number in numbers))
        for version in versions.versions()
    ]
    return Versions(path, name, record.current, rows[::-1], list(record.history[::-1]))


def age_secs(created: str) -> float | None:
    """Seconds since a time of a manifest or a move; None if it is none."""
    try:
        time = datetime.datetime.fromisoformat(created)
    except ValueError:
        return None
    if time.tzinfo is None:
        return None
    return (datetime.datetime.now(datetime.timezone.utc) - time).total_seconds()


def _check_format(path: str) -> None:
    if not os.path.exists(path):
        raise errors.NotAModuleError(f"{path}: missing; a directory without it is no TF1 Hub module.")
    fields = wire.decode_message(_read(path, _MAX_MODULE_FILE_BYTES), _MODULE, path)
    version = fields.get("format", [0])[-1]
    if version != _FORMAT_V3:
        raise errors.FormatError(f"{path}: format is {version}, accepted is {_FORMAT_V3}.")
    if "required_features" in fields:
        names = [name.decode(errors="backslashreplace") for name in fields["required_features"]]
        raise errors.FormatError(f"{path}: required_features are {names}, accepted is none.")


def _read(path: str, max_bytes: int) -> bytes:
    try:
        with open(path, "rb") as file:
            content = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise errors.FormatError(f"{path}: missing; every module has it.") from None
    if len(content) > max_bytes:
        raise errors.FormatError(f"{path}: more than {max_bytes} bytes, which are accepted.")
    return content


def _variables(path: str, variants: Sequence[meta_graphs.Variant]) -> list[Variable]:
    prefix = os.path.join(path, VARIABLES_PREFIX)
    trainable = {name for variant in variants for name in variant.trainable}
    if not any(variant.variables for variant in variants) and not os.path.exists(os.path.dirname(prefix)):
        return []
    bundle = tensor_bundle.read(prefix)
    lacking = [sorted(set(variant.variables) - set(bundle.entries)) for variant in variants]
    if all(lacking):  # what an older tool exported from one variant may lack those of others
        raise errors.FormatError(f"{prefix}: lacks the values of {', '.join(map(repr, lacking[0]))}.")
    return [
        Variable(
            name,
            entry.dtype_name,
            entry.shape,
            sum(part.size for _, part in bundle.parts(name)) or entry.size,
            name in trainable,
        )
        for name, entry in sorted(bundle.entries.items())
    ]


def _sizes(directory: str) -> dict[str, int]:
    """Bytes of every file in a tree: dict relative name -> bytes, sorted; an absent tree is empty."""
    sizes = {}
    for parent, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(parent, name)
            sizes[os.path.relpath(path, directory)] = os.lstat(path).st_size
    return dict(sorted(sizes.items()))


def _history(path: str, contents: dict[str, Any]) -> list[Past]:
    """The version and its parents in the same folder, as far as they are still there."""
    folder, history = os.path.dirname(os.path.abspath(path)), []
    seen = set()
    while contents and len(history) < _MAX_PARENTS and contents["version"] not in seen:
        seen.add(contents["version"])
        step, metrics = _integer(contents.get("step")), _numbers(contents.get("metrics"))
        history.append(Past(contents["version"], step, metrics))
        parent = _integer(contents.get("parent"))
        try:
            contents = manifest.read(os.path.join(folder, str(parent))) if parent else None
        except errors.HubpipeError:  # deleted, or damaged: its own report tells
            contents = None
    return history


def _row(version: store.Version, marks: tuple[str, ...]) -> Version:
    try:
        contents = version.manifest()
    except errors.HubpipeError as error:
        problem = str(error).removeprefix(f"{version.path}/")
        return Version(version.number, None, None, None, None, None, marks, problem)
    selection = contents.get("selection")
    selection = selection if isinstance(selection, dict) else {}
    metric, created = selection.get("metric"), contents.get("created")
    return Version(
        number=version.number,
        step=_integer(contents.get("step")),
        metric=metric if isinstance(metric, str) else None,
        value=_number(selection.get("value")),
        size=sum(entry["size"] for entry in contents["files"].values()),
        created=created if isinstance(created, str) else None,
        marks=marks,
        problem=None,
    )


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: object) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _numbers(values: object) -> dict[str, float | None]:
    return {name: _number(value) for name, value in values.items()} if isinstance(values, dict) else {}
