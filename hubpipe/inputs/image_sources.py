"""Where images come from: folders, tars, TFRecords, tables of paths, or a sample.

In folders and tars the label of an image is the name of the folder that it is in. Files and folders whose names
start with a dot are left out, so are Thumbs.db and desktop.ini, and files that are no images by their ending,
unless images are beside them.

The images of folders, tars and tables come in an order of their own, always the same, in which classes are mixed:
batches of data that do not fit into memory are shuffled among neighbours only. TFRecords keep their order.
"""

import bz2
import contextlib
import dataclasses
import functools
import glob
import gzip
import hashlib
import lzma
import os
import posixpath
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import tensorflow as tf
from google.protobuf import message as protobuf

from hubpipe import errors
from hubpipe.inputs import bad_rows, dialects, digits, rows, sources

SAMPLES = {"digits": digits}

_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_TFRECORDS = (".tfrecord", ".tfrecords")
_TABLES = ("csv", "tsv", "jsonl")
_IMAGES = (".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif")
_OTHER_IMAGES = (".avif", ".heic", ".jp2", ".tif", ".tiff", ".webp")
_OF_WINDOWS = ("thumbs.db", "desktop.ini")  # that it puts into folders
_COMPRESSIONS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_TRAIN_FOLDER = "train"
_EVAL_FOLDERS = ("eval", "val", "valid", "validation", "dev", "test")


class Image(NamedTuple):
    """An encoded image.

    Attributes:
        label: its label, see rows.Row.
        where: where it is, for messages.
        read: returns its bytes; OSError if they cannot be read.
    """

    label: rows.Label
    where: str
    read: Callable[[], bytes]


@dataclasses.dataclass(frozen=True)
class Files:
    """Images in files; the attributes are keys of schema.ImageInputs and schema.ImageSource.

    Attributes:
        paths: folders, files, and patterns for both.
        split: "train" or "eval".
        folder: take images below it alone.
        format: one of folder, tar, tfrecord, csv, tsv, jsonl, or auto.
        image: column of paths, or key of encoded images.
        label: column or key of the label.
        columns: names of the columns of tables without a header.
        several_labels: whether images may have several labels, or none.
        dialect: how tables are written.
    """

    paths: tuple[str, ...]
    split: str
    folder: str | None = None
    format: str = "auto"
    image: str | None = None
    label: str | None = None
    columns: tuple[str, ...] | None = None
    several_labels: bool = False
    dialect: dialects.Dialect = dialects.COMMON

    def images(self, skipped: bad_rows.Skipped | None = None) -> Iterator[Image]:
        """Finds the images; their bytes are to be read while this goes on.

        Args:
            skipped: counts what cannot be used, None if that is an error.
        Raises:
            InputError: a file or folder that cannot be used.
        """
        for path in self._expanded():
            kind = self._format(path)
            if kind == "folder":
                yield from self._of_folder(path, skipped)
            elif kind == "tar":
                yield from self._of_tar(path, skipped)
            elif kind == "tfrecord":
                yield from self._of_records(path, skipped)
            else:
                yield from self._of_table(path, kind, skipped)

    def table_rows(self, column: str, skipped: bad_rows.Skipped | None = None) -> Iterator[rows.Row]:
        """The rows of tables, with the value of `column` as label.

        Raises:
            InputError: files that are no tables.
        """
        for path in self._expanded():
            kind = self._format(path)
            if kind not in _TABLES:
                raise errors.InputError(f"{path}: column {column!r}: only csv, tsv and jsonl have further columns")
            yield from self._rows(path, kind, column, skipped, several_labels=False)

    def identity(self) -> dict[str, Any]:
        """Describes what the images depend on: contents, names inside folders, and reading options.

        Returns:
            dict for JSON; equal for equal images.
        """
        options = dataclasses.asdict(self)
        del options["paths"]
        return {**options, "files": [[self._format(path), self._digests(path)] for path in self._expanded()]}

    def _expanded(self) -> list[str]:
        found = []
        for path in self.paths:
            matches = [path] if os.path.exists(path) else sorted(glob.glob(path, recursive=True))
            if not matches:
                raise errors.InputError(f"{path}: no such file or folder, and none matches it as a pattern")
            found += matches
        return list(dict.fromkeys(found))

    def _format(self, path: str) -> str:
        if self.format != "auto":
            return self.format
        if os.path.isdir(path):
            return "folder"
        for kind, endings in (("tar", _TARS), ("tfrecord", _TFRECORDS)):
            if path.lower().endswith(endings):
                return kind
        return dialects.format_of(path)

    def _digests(self, path: str) -> Any:
        kind = self._format(path)
        if kind == "folder":
            return [[name, _sha256(file)] for name, file in sorted(_walk(path).items())]
        if kind in _TABLES:
            listed = self._labelled_rows(path, kind, bad_rows.Skipped())
            return [_sha256(path), [_sha256(_beside(path, row.text)) for row in listed]]
        return _sha256(path)

    def _of_folder(self, path: str, skipped: bad_rows.Skipped | None) -> Iterator[Image]:
        found = _walk(path)
        if not found:
            raise errors.InputError(f"{path}: no files in this folder, nor below it")
        for name, label in self._labelled(found, path, skipped, root=_name(path)):
            yield Image(label, found[name], functools.partial(_read, found[name]))

    def _of_tar(self, path: str, skipped: bad_rows.Skipped | None) -> Iterator[Image]:
        try:
            with _opened_tar(path) as tar:
                members = {
                    posixpath.normpath(member.name): member for member in tar.getmembers() if not member.isdir()
                }
                for name, label in self._labelled(members, path, skipped):
                    where = f"{path}: {name}"
                    if members[name].isfile():
                        yield Image(label, where, functools.partial(_extract, tar, members[name]))
                    else:
                        bad_rows.refuse(f"{where}: not a file, but a link or a device", skipped)
        except (OSError, EOFError, tarfile.TarError, zlib.error, lzma.LZMAError) as error:
            raise errors.InputError(f"{path}: cannot be read as a tar ({error})") from error

    def _of_table(self, path: str, kind: str, skipped: bad_rows.Skipped | None) -> Iterator[Image]:
        listed = {row.where: row for row in self._labelled_rows(path, kind, skipped)}
        for where in _mixed(listed, base=path):
            row = listed[where]
            file = _beside(path, row.text)
            yield Image(row.label, f"{where}: {file}", functools.partial(_read, file))

    def _labelled_rows(self, path: str, kind: str, skipped: bad_rows.Skipped | None) -> Iterator[rows.Row]:
        return self._rows(path, kind, self.label or "label", skipped, several_labels=self.several_labels)

    def _rows(
        self, path: str, kind: str, label: str, skipped: bad_rows.Skipped | None, *, several_labels: bool
    ) -> Iterator[rows.Row]:
        return rows.read_rows(
            glob.escape(path),
            format=kind,
            text=self.image or "image",
            label=label,
            columns=self.columns,
            several_labels=several_labels,
            dialect=self.dialect,
            skipped=skipped,
        )

    def _of_records(self, path: str, skipped: bad_rows.Skipped | None) -> Iterator[Image]:
        image_key, label_key = self.image or "image/encoded", self.label or "image/class/label"
        try:
            for number, record in enumerate(tf.compat.v1.io.tf_record_iterator(path), start=1):
                where = f"{path}: record {number}"
                try:
                    label, content = _of_example(record, image_key, label_key, several=self.several_labels)
                except errors.InputError as error:
                    bad_rows.refuse(f"{where}: {error}", skipped)
                    continue
                yield Image(label, where, lambda content=content: content)
        except tf.errors.OpError as error:
            raise errors.InputError(f"{path}: cannot be read as TFRecords ({error.message})") from error

    def _labelled(
        self, names: Collection[str], path: str, skipped: bad_rows.Skipped | None, *, root: str = ""
    ) -> Iterator[tuple[str, str]]:
        """Yields the names of images and their labels, mixed; `root` is a label if no folder below it is."""
        with_images = {posixpath.dirname(name) for name in names if name.lower().endswith(_IMAGES)}
        for name in _mixed(self._below_folder(names, path)):
            parent = posixpath.dirname(name)
            folder = "" if parent == root and with_images != {root} else posixpath.basename(parent)
            label = " ".join(os.fsencode(folder).decode("utf-8", "replace").split())
            parts = name.split("/")
            if any(part.startswith(".") for part in parts) or parts[-1].lower() in _OF_WINDOWS:
                continue
            if not name.lower().endswith(_IMAGES):
                if parent in with_images or name.lower().endswith(_OTHER_IMAGES):
                    known = ", ".join(_IMAGES)
                    refuse(f"{path}: {name}: no image by its ending. Endings known: {known}", skipped)
            elif not label:
                refuse(f"{path}: {name}: in no folder of a class, whose name would be its label", skipped)
            else:
                yield name, label

    def _below_folder(self, names: Collection[str], path: str) -> list[str]:
        folders = {part for name in names for part in name.split("/")[:-2]}
        folder = self.folder
        if folder is None and _TRAIN_FOLDER in folders:
            evaluation = next((name for name in _EVAL_FOLDERS if name in folders), None)
            folder = evaluation and (_TRAIN_FOLDER if self.split == "train" else evaluation)
        if folder is None:
            return list(names)
        wanted = f"/{folder.strip('/')}/"
        below = [name for name in names if wanted in f"/{posixpath.dirname(posixpath.dirname(name))}/"]
        if not below:
            known = ", ".join(sorted(folders)) or "none"
            raise errors.InputError(f"{path}: no images in folders below {folder!r}. Folders of folders: {known}")
        return below


@dataclasses.dataclass(frozen=True)
class Sample:
    """Images of a sample.

    Attributes:
        name: a key of SAMPLES.
        split: "train" or "eval".
    """

    name: str
    split: str

    def images(self, skipped: bad_rows.Skipped | None = None) -> Iterator[Image]:
        """Yields the images; a sample has no bad ones, so `skipped` stays as it is."""
        del skipped
        for number, (label, content) in enumerate(SAMPLES[self.name].read_images(self.split), start=1):
            yield Image(label, f"{self.name}:{number}", lambda content=content: content)

    def table_rows(self, column: str, skipped: bad_rows.Skipped | None = None) -> Iterator[rows.Row]:
        """Raises InputError: a sample is no table."""
        del skipped
        raise errors.InputError(f"slice column {column!r}: a sample has no further columns; use a table of paths")

    def identity(self) -> dict[str, Any]:
        """Describes what the images depend on: the files read, and the module that reads them."""
        return sources.sample_identity(self.name, self.split, SAMPLES[self.name])


Source = Files | Sample


def refuse(problem: str, skipped: bad_rows.Skipped | None) -> None:
    """Deals with a file that is no image that can be used, as bad_rows.refuse; says how to go on without it."""
    advice = "" if skipped is not None else ". Remove it, or set inputs.bad_rows: skip to leave such files out"
    bad_rows.refuse(f"{problem}{advice}", skipped)


def _name(folder: str) -> str:
    return os.path.basename(os.path.abspath(folder))


def _walk(root: str) -> dict[str, str]:
    """The files of a folder: dict name below the folder's parent, with "/" -> path. Links are followed, once."""
    base = _name(root)
    found, seen = {}, set()
    for folder, folders, files in os.walk(root, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        for file in files:
            path = os.path.join(folder, file)
            found[posixpath.join(base, os.path.relpath(path, root).replace(os.sep, "/"))] = path
    return found


def _mixed(names: Iterable[str], *, base: str = "") -> list[str]:
    """Names in an order that has nothing to do with them, the same wherever `base` moves to."""
    return sorted(names, key=lambda name: hashlib.sha256(os.fsencode(name.removeprefix(base))).digest())


def _beside(table: str, path: str) -> str:
    return os.path.join(os.path.dirname(table), path)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    return tar.extractfile(member).read()


@contextlib.contextmanager
def _opened_tar(path: str) -> Iterator[tarfile.TarFile]:
    """Opens a tar to be read in any order; a compressed one is decompressed into a temporary file."""
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open(path, "rb"))
        start = file.read(5)
        file.seek(0)
        for magic, decompressed in _COMPRESSIONS.items():
            if start.startswith(magic):
                plain = stack.enter_context(tempfile.TemporaryFile())
                shutil.copyfileobj(stack.enter_context(decompressed(file)), plain)
                plain.seek(0)
                file = plain
        yield stack.enter_context(tarfile.open(fileobj=file, mode="r:"))


def _of_example(record: bytes, image_key: str, label_key: str, *, several: bool) -> tuple[rows.Label, bytes]:
    """The label and the encoded image of a tf.train.Example."""
    try:
        features = tf.train.Example.FromString(record).features.feature
    except protobuf.DecodeError as error:
        raise errors.InputError("no tf.train.Example") from error
    for key in (image_key, label_key):
        if key not in features:
            raise errors.InputError(f"no key {key!r}. Keys: {', '.join(sorted(features))}")
    images, label = features[image_key].bytes_list.value, features[label_key]
    numbers = (*label.int64_list.value, *label.float_list.value)
    labels = tuple(_texts(label.bytes_list.value)) or tuple(map(str, numbers))
    if len(images) != 1:
        raise errors.InputError(f"{image_key!r} has {len(images)} encoded images, expected 1")
    if several:
        return labels, images[0]
    if len(labels) != 1 or not labels[0]:
        raise errors.InputError(f"{label_key!r} is {list(labels)!r}, expected one text or number")
    return labels[0], images[0]


def _texts(values: Sequence[bytes]) -> list[str]:
    return [" ".join(value.decode("utf-8", "replace").split()) for value in values]


def _sha256(path: str) -> str | None:
    """The digest of a file, None if it cannot be read, as it will turn out when it is."""
    try:
        return sources.sha256(path)
    except errors.InputError:
        return None
